"""FAISS indexes over a layer: built in blocks, saved with what they were built from, refused elsewhere."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from ..errors import UserError
from ..files.atomic import atomic_write
from ..params import Metric
from ..store.feature_file import FeatureFile
from .exact import ExactSearch
from .factory import MAX_POINTS_PER_CENTROID, MIN_POINTS_PER_CENTROID, centroid_count
from .gpu_shortlist import device_is_there
from .index_card import IndexCard, check_file, read_card, write_card
from .vectors import as_float32, unit_rows

_log = logging.getLogger(__name__)

_BLOCK_BYTES = 64 << 20
_TRAINING_BYTES = 256 << 20
GPU_LIMIT = 2048  # of k and of nprobe


def build_index(
    vectors: np.ndarray,
    factory: str,
    metric: Metric,
    *,
    seed: int,
    held_out: np.ndarray | None = None,
    device: str = "auto",
) -> tuple[faiss.Index, int]:
    """Train an index and add every row, block by block.

    Memory beyond the index itself is bounded: a training sample of 256 MiB (more if 39 rows a centroid are
    more), and one block. With a CUDA device, an index that needs training is trained and filled there; what
    is returned is the CPU form. The bytes are the same on every build on one machine: a graph (HNSW) is
    therefore built by one thread.

    Parameters
    ----------
    vectors : (N, D) float16 or float32 array
    factory : str
        A string for `faiss.index_factory`.
    metric : cosine, l2 or ip
    seed : int
        Of the training sample: 39 to 256 rows a centroid.
    held_out : (n,) int, optional
        Rows to leave out of the training sample.
    device : auto, cpu or cuda

    Returns
    -------
    index : faiss.Index
    training_rows : int
        0 if the index needs no training.

    Raises
    ------
    UserError
        If FAISS knows no such index, or there are too few rows to train it.
    """
    index = new_index(vectors.shape[1], factory, metric)
    working, trained_on = index, 0
    if not index.is_trained:
        sample = training_sample(len(vectors), vectors.shape[1], factory, seed, held_out)
        training = _prepared(vectors, sample, metric)
        kept = _configure_training(index)
        if device != "cpu" and (on_gpu := to_gpu(index)) is not None:
            working = on_gpu
        try:
            working.train(training)
        except RuntimeError as error:
            raise UserError(f"index.factory: {factory}: {_cause(error)}") from None
        del kept
        trained_on = len(sample)
    _add_rows(working, vectors, factory, metric)
    return (faiss.index_gpu_to_cpu(working) if working is not index else index), trained_on


def _add_rows(index: faiss.Index, vectors: np.ndarray, factory: str, metric: Metric) -> None:
    """Add every row, block by block; a graph by one thread, so that its bytes are the same each time."""
    threads = faiss.omp_get_max_threads()
    if "HNSW" in factory:
        faiss.omp_set_num_threads(1)
    try:
        step = max(_BLOCK_BYTES // (4 * vectors.shape[1]), 1)
        for start in range(0, len(vectors), step):
            index.add(_prepared(vectors, slice(start, start + step), metric))
    except RuntimeError as error:
        raise UserError(f"index.factory: {factory}: {_cause(error)}") from None
    finally:
        faiss.omp_set_num_threads(threads)


def training_sample(
    rows: int, width: int, factory: str, seed: int, held_out: np.ndarray | None = None
) -> np.ndarray:
    """The rows to train on, ascending: drawn at random, 39 to 256 a centroid where there are so many."""
    centroids = centroid_count(factory)
    pool = np.setdiff1d(np.arange(rows), [] if held_out is None else held_out)
    if len(pool) < centroids:
        raise UserError(
            f"index.factory: {factory} has {centroids} centroids to place, but there are only {len(pool)} "
            f"rows to train on; take Flat, auto, or {max(len(pool) // MIN_POINTS_PER_CENTROID, 1)} centroids"
        )
    affordable = max(_TRAINING_BYTES // (4 * width), MIN_POINTS_PER_CENTROID * centroids)
    wanted = min(max(MAX_POINTS_PER_CENTROID * centroids, 10_000), affordable, len(pool))
    return np.sort(np.random.default_rng(seed).choice(pool, wanted, replace=False))


def to_gpu(index: faiss.Index) -> faiss.Index | None:
    """A copy of `index` on the first CUDA device; None without one, or for a kind that only CPUs have."""
    if not device_is_there():
        return None
    try:
        resources = faiss.StandardGpuResources()
        copy = faiss.index_cpu_to_gpu(resources, 0, index)
    except RuntimeError as error:
        _log.info("FAISS has no GPU form of this index (%s); it runs on the CPU", _cause(error))
        return None
    copy.resources = resources  # type: ignore[attr-defined]  # must live as long as the index
    return copy


class IndexSearch:
    """Search through an index: it gives a shortlist, which is then ranked by the stored vectors.

    So distances are exact and ties stand in row order, as in exact search; what an index can do is to miss a
    neighbor. A query for which it finds fewer than k (short lists) is answered by exact search.

    Parameters
    ----------
    index : faiss.Index
    exact : ExactSearch
        Over the vectors that the index was built from.
    setting : {parameter: value}
        `nprobe`, `efSearch`, …, as `faiss.ParameterSpace` names them, and `shortlist`: how many times k
        candidates are ranked (k taken as 10 if it is less).
    """

    def __init__(self, index: faiss.Index, exact: ExactSearch, setting: dict[str, int] | None = None) -> None:
        self.index = index
        self.exact = exact
        self.apply(setting or {})

    def apply(self, setting: dict[str, int]) -> None:
        """Search with this setting from now on."""
        self.setting = dict(setting)
        for name, value in setting.items():
            if name != "shortlist":
                faiss.ParameterSpace().set_index_parameter(self.index, name, value)

    def shortlist(self, queries: np.ndarray, k: int) -> np.ndarray:
        """The (n, c) int64 rows that the index finds for k neighbors and the query itself; -1: no more."""
        times = self.setting.get("shortlist", 1)
        count = (max(k, 10) * times if times > 1 else k) + 1
        asked = as_float32(queries)
        if self.exact.metric == "cosine":
            asked = unit_rows(asked)
        return self.index.search(asked, min(count, self.index.ntotal))[1]

    def search(
        self, queries: np.ndarray, k: int, *, exclude: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows that the index finds; as `ExactSearch.search` otherwise."""
        self.exact.check_enough(k, exclude, None)
        own = np.full(len(queries), -1) if exclude is None else np.asarray(exclude)
        found = self.shortlist(queries, k)
        lacking = np.flatnonzero(_valid(found, own).sum(axis=1) < k)
        candidates = [row[keep] for row, keep in zip(found, _valid(found, own), strict=True)]
        if len(lacking):
            again = self.exact.search(queries[lacking], k, exclude=own[lacking])[1]
            for number, rows in zip(lacking, again, strict=True):
                candidates[number] = rows
        asked = np.repeat(np.arange(len(queries)), [len(rows) for rows in candidates])
        return self.exact.reranker.nearest(
            queries, k, asked, np.concatenate([np.sort(rows) for rows in candidates])
        )


def describe(features: FeatureFile, layer: str, metric: Metric, **fields: Any) -> IndexCard:
    """The card of an index over `layer` of `features`; `fields` are those that the features do not tell."""
    rows, width = features.layer(layer).shape
    return IndexCard(
        model=features.model,
        layer=layer,
        split=features.split,
        rows=rows,
        width=width,
        feature_key=features.key_digest(layer),
        ids_digest=features.ids_digest,
        layer_digest=features.layer_digest(layer),
        metric=metric,
        normalized=metric == "cosine",
        faiss=faiss.__version__,
        **fields,
    )


def save_index(index: faiss.Index, card: IndexCard, path: Path | str) -> IndexCard:
    """Write `index` to `path` (.faiss) and its card beside it (.json); returns the card as written."""
    path = Path(path)
    with atomic_write(path) as temporary:
        faiss.write_index(index, os.fspath(temporary))
    return write_card(path, card)


def open_index(path: Path | str, features: FeatureFile, layer: str, exact: ExactSearch) -> IndexSearch:
    """Open the index at `path` for searching `layer` of `features`, with its recommended setting.

    Raises
    ------
    UserError
        If it is missing or damaged, or was built from other features, other images or for another metric.
    """
    path = Path(path)
    card = read_card(path)
    here = {
        "feature_key": features.key_digest(layer),
        "ids_digest": features.ids_digest,
        "layer_digest": features.layer_digest(layer),
        "metric": exact.metric,
    }
    for name, what in [
        ("feature_key", "other features"),
        ("ids_digest", "other images"),
        ("layer_digest", "other values"),
        ("metric", "another metric"),
    ]:
        if (there := getattr(card, name)) != here[name]:
            raise UserError(
                f"{path}: built from {what} ({card.model}/{card.layer} on {card.split}: {name} {there[:12]}, "
                f"not {here[name][:12]})",
                rerun="index",
            )
    check_file(path, card)
    try:
        index = faiss.read_index(os.fspath(path))
    except RuntimeError as error:
        problem = f"{path}: FAISS cannot read it ({_cause(error)})"
        raise UserError(problem, rerun="index", force=True) from None
    return IndexSearch(index, exact, card.search)


def new_index(width: int, factory: str, metric: Metric) -> faiss.Index:
    """An untrained, empty index; `UserError` for a factory that FAISS does not build over this width."""
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    if re.search(r"[A-Za-z]0+(?!\d)", factory):
        raise UserError(f"index.factory: {factory} has no lists, links or codes: a number in it is 0")
    try:
        return faiss.index_factory(width, factory, kind)
    except RuntimeError as error:
        raise UserError(
            f"index.factory: FAISS builds no {factory} over {width} values ({_cause(error)}); "
            "try Flat, IVF64,Flat, IVF64,PQ16, HNSW32 or auto"
        ) from None


def _configure_training(index: faiss.Index) -> list[Any]:
    """Change two defaults in every part of an index; what is returned must live until it is trained.

    The polysemous reordering of codes takes a second a sub-quantiser, for a filter (`ht`) that is never used
    here; and of a small sample FAISS warns once a codebook, where the card says it once (`training_rows`).
    """
    parts, kept = [index], []
    while parts:
        part: Any = faiss.downcast_index(parts.pop())
        if hasattr(part, "do_polysemous_training"):
            part.do_polysemous_training = False
        for clustered in (part, getattr(part, "pq", part)):
            if hasattr(clustered, "cp"):
                clustered.cp.min_points_per_centroid = 1
        for number in range(part.chain.size() if hasattr(part, "chain") else 0):
            transform: Any = faiss.downcast_VectorTransform(part.chain.at(number))
            if isinstance(transform, faiss.OPQMatrix):
                transform.pq = faiss.ProductQuantizer(transform.d_out, transform.M, 8)
                transform.pq.cp.min_points_per_centroid = 1
                kept.append(transform.pq)
        inner = (getattr(part, name, None) for name in ("index", "base_index", "quantizer"))
        parts += [each for each in inner if isinstance(each, faiss.Index)]
    return kept


def _prepared(vectors: np.ndarray, rows: np.ndarray | slice, metric: Metric) -> np.ndarray:
    block = as_float32(vectors[rows])
    return unit_rows(block) if metric == "cosine" else block


def _valid(found: np.ndarray, own: np.ndarray) -> np.ndarray:
    valid: np.ndarray = (found >= 0) & (found != own[:, None])
    return valid


def _cause(error: RuntimeError) -> str:
    """The last part of a FAISS message: what is wrong, without the place in its source."""
    return str(error).strip().splitlines()[-1].rsplit(".cpp:", 1)[-1].partition(": ")[2] or str(error)
