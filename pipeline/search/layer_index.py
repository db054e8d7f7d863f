"""The index of one layer: chosen, built, and held against exact search."""

from __future__ import annotations

import dataclasses
import functools
import logging
from pathlib import Path
from typing import Any

import faiss
import msgspec
import numpy as np

from ..files.hints import counted
from ..params import Index
from ..results.index_quality import IndexQuality
from ..results.record import save_record
from ..store.feature_file import FeatureFile
from ..store.lance_table import lance_module
from .approximate_search import ApproximateSearch
from .exact import ExactSearch
from .factory import Choice, choose_factory
from .faiss_index import build_index, training_gpu
from .faiss_search import IndexSearch, cause
from .gpu import Gpu, gpu_or_cpu
from .index_card import IndexCard, describe, write_card
from .lance_index import build_lance
from .quality import DEPTHS, Latency, measure_latency, query_rows, recommended, sweep

_log = logging.getLogger(__name__)

CARD, QUALITY = "layer.json", "quality.json"  # what `LayerIndex.save` writes beside the index


@dataclasses.dataclass(frozen=True)
class LayerIndex:
    """An index with its card, what it was found to find, and the queries that it was asked.

    `search` is at the recommended setting; `queries` are (n, D) held-out rows.
    """

    search: ApproximateSearch
    card: IndexCard
    quality: IndexQuality
    queries: np.ndarray

    def save(self, folder: Path) -> None:
        """Write the index (`index_name`), its card and the record, under the names `CARD` and `QUALITY`."""
        path = folder / index_name(self.search.engine)
        self.search.write(path)
        card = write_card(path, self.card)
        size = card.index_bytes / max(card.rows, 1)
        save_record(msgspec.structs.replace(self.quality, bytes_per_vector=size), folder / QUALITY)

    def latencies(self) -> dict[str, Latency]:
        """How long exact search and the index take for the 10 nearest, or for all where there are fewer."""
        exact = self.search.exact
        searches: dict[str, ExactSearch | ApproximateSearch] = {"exact": exact, "index": self.search}
        if (on_gpu := self.search.on_gpu()) is not None:
            searches["index on the GPU"] = on_gpu
        k = min(10, self.card.rows)
        times = {}
        for name, search in searches.items():
            try:
                times[name] = measure_latency(functools.partial(search.search, k=k), self.queries)
            except RuntimeError as error:
                if search is not on_gpu:
                    raise
                _log.info("%s: not measured: %s", name, cause(error))
        return times


def index_name(engine: str) -> str:
    """What the index of an engine is called by `LayerIndex.save`."""
    return f"layer.{engine}"


def decides_index(features: FeatureFile, layer: str, settings: Index) -> dict[str, Any]:
    """All that decides the files of an index, beside the recipe version, as plain JSON values."""
    shape = features.layer(layer).shape
    return (
        _lance_version(settings)
        | {
            "model": features.model,
            "layer": layer,
            "split": features.split,
            "layer_digest": features.layer_digest(layer),
            "ids_digest": features.ids_digest,
            "factory": settings.factory,
            "metric": settings.metric,
            "memory_gb": settings.memory_gb,
            "queries": settings.queries,
            "seed": settings.seed,
            "faiss": faiss.__version__,
        }
        | _trained_on(training_gpu(shape, _choice(shape, settings).factory))
    )


def index_layer(features: FeatureFile, layer: str, settings: Index, scratch: Path) -> LayerIndex:
    """Build the index that `settings` ask for over one layer, and sweep its search parameters.

    Parameters
    ----------
    scratch : path
        A folder where an index that is not built in memory may be built.

    Raises
    ------
    UserError
        If the engine builds no such index, there are too few rows to train it, or a value is not finite.
    """
    vectors = features.layer(layer)
    choice = _choice(vectors.shape, settings)
    asked = query_rows(len(vectors), settings.queries, settings.seed)
    (search, training_rows), gpu = gpu_or_cpu(
        training_gpu(vectors.shape, choice.factory),
        functools.partial(_built, features, layer, choice.factory, settings, asked, scratch),
        f"the index {choice.factory}",
    )
    queries = np.asarray(vectors[asked])
    reason = choice.reason
    if training_rows:
        reason += (
            f"; trained on {training_rows} rows of {features.split} itself, not on those it is measured by"
        )
    points = sweep(search, queries, asked)
    chosen = recommended(points) if points else None
    search.apply(chosen.setting if chosen else {})
    card = describe(
        features,
        layer,
        settings.metric,
        factory=choice.factory,
        reason=reason,
        seed=settings.seed,
        training_rows=training_rows,
        search=search.setting,
        faiss=faiss.__version__,
        **_lance_version(settings),
        **_trained_on(gpu),
    )
    quality = IndexQuality(
        layer=f"{features.model}/{layer}",
        split=features.split,
        factory=f"{choice.factory} in Lance" if settings.engine == "lance" else choice.factory,
        reason=reason,
        rows=len(vectors),
        bytes_per_vector=0.0,
        points=tuple(points),
        chosen=chosen,
        gaps=_gaps(features.split, len(vectors)),
    )
    return LayerIndex(search, card, quality, queries)


def _built(
    features: FeatureFile,
    layer: str,
    factory: str,
    settings: Index,
    held_out: np.ndarray,
    scratch: Path,
    gpu: Gpu | None,
) -> tuple[ApproximateSearch, int]:
    """The index in its engine, and how many rows it was trained on."""
    metric, seed = settings.metric, settings.seed
    if settings.engine == "lance":
        folder = scratch / "building.lance"
        return build_lance(features, layer, factory, metric, folder, seed=seed, held_out=held_out, gpu=gpu)
    vectors = features.layer(layer)
    index, training_rows = build_index(vectors, factory, metric, seed=seed, held_out=held_out, gpu=gpu)
    return IndexSearch(index, ExactSearch(vectors, metric)), training_rows


def _choice(shape: tuple[int, ...], settings: Index) -> Choice:
    if settings.factory == "auto":
        return choose_factory(shape[0], shape[1], settings.memory_gb * 1e9)
    return Choice(settings.factory, "asked for in params.yaml")


def _trained_on(gpu: Gpu | None) -> dict[str, str]:
    return {} if gpu is None else {"trained_on": gpu.name}


def _lance_version(settings: Index) -> dict[str, str]:
    return {"lance": lance_module().__version__} if settings.engine == "lance" else {}


def _gaps(split: str, rows: int) -> tuple[str, ...]:
    lacking = [str(depth) for depth in DEPTHS if depth > rows - 1]
    if not lacking:
        return ()
    there = f"{split} has {counted(rows, 'image')}, of which one is the query"
    return (f"no recall@{', recall@'.join(lacking)}: {there}",)
