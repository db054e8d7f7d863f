"""The neighbor graph of one layer: the nearest rows of every row of every split, within each split."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..params import Metric
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import GraphHead, GraphSplit, write_neighbors
from .exact import ExactSearch
from .gpu import Gpu, gpu_or_cpu
from .neighbor_update import GraphUpdate, with_spare

_log = logging.getLogger(__name__)
_QUERIES_AT_ONCE = 8192
_MEASURED_QUERIES = 200


@dataclasses.dataclass(frozen=True)
class GraphSettings:
    """How a graph is made.

    Attributes
    ----------
    metric : cosine, l2 or ip
    depth : int
        Neighbors of a row in each split.
    exact_up_to : int
        Rows of a split up to which it is searched exactly; a larger one through an index.
    memory_gb : float
        What that index may take.
    seed : int
        Of the index's training sample, and of the queries that its recall is measured with.
    """

    metric: Metric
    depth: int
    exact_up_to: int
    memory_gb: float
    seed: int


@dataclasses.dataclass(frozen=True)
class _SearchedSplit:
    """A split of the graph and what finds its rows; `search` is an IndexSearch where the split is large."""

    head: GraphSplit
    vectors: np.ndarray
    search: Any


def decides_graph(files: Sequence[FeatureFile], layer: str, settings: GraphSettings) -> dict[str, Any]:
    """All that decides a graph, beside the recipe version, as plain JSON values."""
    through_index = [file.split for file in files if len(file) > settings.exact_up_to]
    decided = {
        "dataset": files[0].dataset,
        "layer": f"{files[0].model}/{layer}",
        "metric": settings.metric,
        "depth": settings.depth,
        "splits": [[file.split, file.ids_digest, file.layer_digest(layer)] for file in files],
        "through_index": through_index,
    }
    if through_index:
        import faiss  # takes half a second, which exact search does not wait for

        decided |= {"memory_gb": settings.memory_gb, "seed": settings.seed, "faiss": faiss.__version__}
        large = [file.layer(layer) for file in files if file.split in through_index]
        gpus = [_index_of(vectors, settings)[1] for vectors in large]
        if any(gpus):
            decided["trained_on"] = [gpu and gpu.name for gpu in gpus]
    return decided


def write_graph(
    files: Sequence[FeatureFile],
    layer: str,
    settings: GraphSettings,
    path: Path | str,
    update: GraphUpdate | None = None,
) -> None:
    """Find the nearest rows of every row of some splits, and write them.

    A row is compared with those of its own split, itself left out, and with those of every other.

    Parameters
    ----------
    files : sequence of FeatureFile
        One model's, a split each.
    layer : str
    settings : GraphSettings
    path : path of data/neighbors/<model>/<layer>.h5
    update : GraphUpdate, optional
        Used as far as that is cheaper, and told what to keep; the file is the same.

    Raises
    ------
    UserError
        If a value is not finite.
    """
    name = f"{files[0].model}/{layer}"
    try:
        splits = {file.split: _searched(file, layer, settings) for file in files}
        heads = tuple(split.head for split in splits.values())
        head = GraphHead(files[0].dataset, name, settings.metric, settings.depth, heads)
        write_neighbors(path, head, _pairs(splits, settings.depth, update))
    except UserError as error:
        raise UserError(f"{name}: {error}", rerun=error.rerun, force=error.force) from None
    told = ", ".join(f"{split.rows} of {split.name} ({split.engine})" for split in heads)
    _log.info("%s: the %d nearest of every row by %s; rows: %s", name, settings.depth, settings.metric, told)


def _searched(file: FeatureFile, layer: str, settings: GraphSettings) -> _SearchedSplit:
    vectors = file.layer(layer)
    head = GraphSplit(file.split, len(file), file.ids_digest, file.layer_digest(layer))
    exact = ExactSearch(vectors, settings.metric)
    if len(file) <= settings.exact_up_to:
        return _SearchedSplit(head, exact.vectors, exact)
    from .faiss_index import build_index
    from .faiss_search import IndexSearch
    from .quality import query_rows, recommended, sweep

    factory, gpu = _index_of(vectors, settings)
    asked = query_rows(len(vectors), _MEASURED_QUERIES, settings.seed)

    def build(gpu: Gpu | None) -> Any:
        return build_index(vectors, factory, settings.metric, seed=settings.seed, held_out=asked, gpu=gpu)[0]

    search = IndexSearch(gpu_or_cpu(gpu, build, f"the index {factory}")[0], exact)
    recall = None
    if points := sweep(search, np.asarray(vectors[asked]), asked):
        chosen = recommended(points)
        search.apply(chosen.setting)
        recall = chosen.main_recall
    return _SearchedSplit(dataclasses.replace(head, engine=factory, recall=recall), exact.vectors, search)


def _index_of(vectors: np.ndarray, settings: GraphSettings) -> tuple[str, Gpu | None]:
    """The index that finds the rows of a large split, and the GPU that it is trained with."""
    from .factory import choose_factory
    from .faiss_index import training_gpu

    factory = choose_factory(len(vectors), vectors.shape[1], settings.memory_gb * 1e9).factory
    return factory, training_gpu(vectors.shape, factory)


def _pairs(
    splits: Mapping[str, _SearchedSplit], depth: int, update: GraphUpdate | None
) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    for asking, queries in splits.items():
        for found, split in splits.items():
            own = np.arange(queries.head.rows) if asking == found else None
            there = max(split.head.rows - (own is not None), 0)
            k, nearest = min(depth, there), None
            if update is None or not isinstance(split.search, ExactSearch):
                distances, rows = _nearest(queries.vectors, split, k, own)
            else:
                most = min(with_spare(depth), there)
                if k:
                    nearest = update.nearest(asking, found, queries.vectors, split.search, k, most)
                distances, rows = nearest or _nearest(queries.vectors, split, most, own)
                update.keep(asking, found, distances[:, k:], rows[:, k:])
            yield asking, found, rows[:, :k], distances[:, :k]


def _nearest(
    queries: np.ndarray, split: _SearchedSplit, k: int, own: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    if k == 0:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    if isinstance(split.search, ExactSearch):  # all pairs within a split at half the cost
        return split.search.search(queries, k, exclude=own)
    distances, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        piece = slice(start, start + _QUERIES_AT_ONCE)
        left_out = None if own is None else own[piece]
        distances[piece], rows[piece] = split.search.search(queries[piece], k, exclude=left_out)
    return distances, rows
