"""FAISS indexes over a layer: built in blocks, saved with what they were built from, refused elsewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from ..errors import UserError
from ..params import Metric
from ..store.feature_file import FeatureFile
from .exact import ExactSearch
from .factory import MAX_POINTS_PER_CENTROID, MIN_POINTS_PER_CENTROID, centroid_count
from .faiss_search import IndexSearch, cause
from .gpu import Gpu, gpu_for
from .index_card import check_file, read_card_of
from .vectors import as_float32, unit_rows

_BLOCK_BYTES = 64 << 20
_TRAINING_BYTES = 256 << 20
_ROUNDS = 10  # of k-means, in FAISS's inverted files


def build_index(
    vectors: np.ndarray,
    factory: str,
    metric: Metric,
    *,
    seed: int,
    held_out: np.ndarray | None = None,
    gpu: Gpu | None = None,
) -> tuple[faiss.Index, int]:
    """Train an index and add every row, block by block.

    Memory beyond the index itself is bounded: a training sample of 256 MiB (more if 39 rows a centroid are
    more), and one block. The bytes are the same on every build on one machine: a graph (HNSW) is therefore
    built by one thread.

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
    gpu : Gpu, optional
        As `training_gpu` gives it, to find the nearest centroids. The index comes out as good as without and
        not the same, for products are summed in another order.

    Returns
    -------
    index : faiss.Index
    training_rows : int
        0 if the index needs no training.

    Raises
    ------
    UserError
        If FAISS knows no such index, or there are too few rows to train it.
    RuntimeError
        If the GPU fails; `gpu.gpu_or_cpu` goes on from there.
    """
    index = new_index(vectors.shape[1], factory, metric)
    trained_on = 0 if index.is_trained else train(index, vectors, factory, metric, seed, held_out, gpu)
    _add_rows(index, vectors, factory, metric, gpu)
    return index, trained_on


def training_gpu(shape: tuple[int, ...], factory: str) -> Gpu | None:
    """The GPU to train an index over vectors of this shape with, where there is one and it pays."""
    if not re.fullmatch(r"IVF\d+,(?:Flat|PQ\d+(?:x\d+)?)", factory):
        return None
    (rows, width), centroids = shape, centroid_count(factory)
    compared = _ROUNDS * _wanted(rows, width, centroids) + rows
    return gpu_for(compared * centroids * width)


def train(
    index: faiss.Index,
    vectors: np.ndarray,
    factory: str,
    metric: Metric,
    seed: int,
    held_out: np.ndarray | None = None,
    gpu: Gpu | None = None,
) -> int:
    """Train an index, as `build_index` does; gives how many rows it was trained on."""
    sample = training_sample(len(vectors), vectors.shape[1], factory, seed, held_out)
    training = prepared(vectors, sample, metric)
    kept = _configure_training(index)
    if gpu is not None:
        _train_on(gpu, index, training)
        return len(sample)
    try:
        index.train(training)
    except RuntimeError as error:
        raise UserError(f"index.factory: {factory}: {cause(error)}") from None
    del kept
    return len(sample)


def _train_on(gpu: Gpu, index: Any, training: np.ndarray) -> None:
    """Train an inverted file, the GPU finding the centroid that is nearest to each row.

    The means are taken by the CPU, in the order of the rows: the same on every run.
    """
    lent: list[tuple[Any, str, Any]]
    lent = [(index, "clustering_index", gpu.flat(index.d, index.quantizer.metric_type))]
    if hasattr(index, "pq"):
        lent.append((index.pq, "assign_index", gpu.flat(index.pq.dsub, faiss.METRIC_L2)))
    for part, name, flat in lent:
        setattr(part, name, flat)
        flat.thisown = True  # FAISS keeps a mere pointer; SWIG takes it for the owner
    try:
        index.train(training)
    finally:
        for part, name, _ in lent:
            setattr(part, name, None)


def _add_rows(index: Any, vectors: np.ndarray, factory: str, metric: Metric, gpu: Gpu | None = None) -> None:
    """Add every row, block by block; a graph by one thread, so that its bytes are the same each time."""
    step = max(_BLOCK_BYTES // (4 * vectors.shape[1]), 1)
    blocks = (prepared(vectors, slice(at, at + step), metric) for at in range(0, len(vectors), step))
    if gpu is not None:
        centroids = gpu.flat(index.d, index.quantizer.metric_type)
        centroids.add(index.quantizer.reconstruct_n(0, index.nlist))
        for rows in blocks:
            lists = centroids.search(rows, 1)[1]
            index.add_core(len(rows), faiss.swig_ptr(rows), None, faiss.swig_ptr(lists))
        return
    threads = faiss.omp_get_max_threads()
    if "HNSW" in factory:
        faiss.omp_set_num_threads(1)
    try:
        for rows in blocks:
            index.add(rows)
    except RuntimeError as error:
        raise UserError(f"index.factory: {factory}: {cause(error)}") from None
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
    wanted = _wanted(len(pool), width, centroids)
    return np.sort(np.random.default_rng(seed).choice(pool, wanted, replace=False))


def _wanted(there: int, width: int, centroids: int) -> int:
    """How many rows to train on."""
    affordable = max(_TRAINING_BYTES // (4 * width), MIN_POINTS_PER_CENTROID * centroids)
    return min(max(MAX_POINTS_PER_CENTROID * centroids, 10_000), affordable, there)


def open_index(path: Path | str, features: FeatureFile, layer: str, exact: ExactSearch) -> IndexSearch:
    """Open the index at `path` for searching `layer` of `features`, with its recommended setting.

    Raises
    ------
    UserError
        If it is missing or damaged, or was built from other features, other images or for another metric.
    """
    path = Path(path)
    card = read_card_of(path, features, layer, exact.metric)
    check_file(path, card)
    try:
        index = faiss.read_index(os.fspath(path))
    except RuntimeError as error:
        problem = f"{path}: FAISS cannot read it ({cause(error)})"
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
            f"index.factory: FAISS builds no {factory} over {width} values ({cause(error)}); "
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


def prepared(vectors: np.ndarray, rows: np.ndarray | slice, metric: Metric) -> np.ndarray:
    """Rows as an index is given them: float32, and of length one for `cosine`."""
    block = as_float32(vectors[rows])
    return unit_rows(block) if metric == "cosine" else block
