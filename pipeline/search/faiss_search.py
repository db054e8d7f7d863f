"""Search through a FAISS index: what it finds, at which settings, and for how many comparisons."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from ..files.atomic import atomic_write
from .approximate_search import SHORTLISTS, ApproximateSearch
from .exact import ExactSearch
from .gpu import LIMIT, found_gpu
from .vectors import as_float32, unit_rows

_log = logging.getLogger(__name__)

_SWEPT_WHOLE = 100_000
_EF_SEARCH = (16, 32, 64, 128, 256, 512)
_SPACE = getattr(faiss, "GpuParameterSpace", faiss.ParameterSpace)  # faiss-cpu has none; knows both kinds


class IndexSearch(ApproximateSearch):
    """Search through a FAISS index; settings as `faiss.ParameterSpace` names them: `nprobe`, `efSearch`, …"""

    engine = "faiss"

    def __init__(
        self, index: faiss.Index, exact: ExactSearch, setting: Mapping[str, int] | None = None
    ) -> None:
        self.index = index
        super().__init__(exact, setting)

    def apply(self, setting: Mapping[str, int]) -> None:
        """Search with this setting from now on."""
        super().apply(setting)
        for name, value in setting.items():
            if name != "shortlist":
                _SPACE().set_index_parameter(self.index, name, value)

    def settings(self) -> list[dict[str, int]]:
        """As `settings_of` the index."""
        return settings_of(self.index)

    def shortlist(
        self, queries: np.ndarray, k: int, classes: Sequence[str] = (), share: float = 1.0
    ) -> np.ndarray:
        """The (n, c) int64 rows that the index finds; it knows no classes."""
        asked = as_float32(queries)
        if self.exact.metric == "cosine":
            asked = unit_rows(asked)
        return self.index.search(asked, min(self.candidates(k), self.index.ntotal))[1]

    def counted(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, float]:
        """A shortlist, and the comparisons with centroids, codes and vectors that FAISS counts."""
        counters: Any = faiss.cvar
        counters.indexIVF_stats.reset()
        counters.hnsw_stats.reset()
        found = self.shortlist(queries, k)
        made = counters.indexIVF_stats.ndis + counters.hnsw_stats.ndis
        try:
            inverted = faiss.extract_index_ivf(self.index)
        except RuntimeError:
            if not made:
                made = self.index.ntotal * len(queries)
        else:
            if isinstance(faiss.downcast_index(inverted.quantizer), faiss.IndexFlat):
                made += inverted.nlist * len(queries)
        return found, made / len(queries) + self.ranked(found)

    def write(self, path: Path) -> None:
        """Write the index to `path` (.faiss)."""
        with atomic_write(path) as temporary:
            faiss.write_index(self.index, os.fspath(temporary))

    def on_gpu(self) -> IndexSearch | None:
        """The same on the first CUDA device; None without one, or for a kind that only CPUs have."""
        copy = to_gpu(self.index)
        return None if copy is None else IndexSearch(copy, self.exact, self.setting)


def settings_of(index: faiss.Index) -> list[dict[str, int]]:
    """The settings worth measuring; one, empty, for an index that has nothing to set."""
    space = faiss.ParameterSpace()
    space.initialize(index)
    ranges = [space.parameter_ranges.at(i) for i in range(space.parameter_ranges.size())]
    values: dict[str, Sequence[int]] = {}
    names = {parameter.name for parameter in ranges}
    if "nprobe" in names:
        values["nprobe"] = probe_counts(faiss.extract_index_ivf(index).nlist, index.ntotal)
    if "efSearch" in names or isinstance(faiss.downcast_index(index), faiss.IndexHNSW):
        values["efSearch"] = _EF_SEARCH
    if "k_factor_rf" in names:
        values["k_factor_rf"] = SHORTLISTS
    elif not _holds_whole_vectors(index):
        values["shortlist"] = SHORTLISTS
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def probe_counts(lists: int, rows: int) -> list[int]:
    """How many of an index's lists are worth looking into: powers of two."""
    # a large index is there in order not to look at much of it
    most = lists if rows <= _SWEPT_WHOLE else max(lists // 16, 1)
    return [2**i for i in range(12) if 2**i <= min(most, LIMIT)]


def to_gpu(index: faiss.Index) -> faiss.Index | None:
    """A copy of `index` on the first CUDA device; None without one, or for a kind that only CPUs have."""
    gpu = found_gpu()
    if gpu is None:
        return None
    try:
        return gpu.copy(index)
    except RuntimeError as error:
        _log.info("FAISS puts no copy of this index on the GPU (%s); it runs on the CPU", cause(error))
        return None


def _holds_whole_vectors(index: faiss.Index) -> bool:
    part = faiss.downcast_index(index)
    if isinstance(part, faiss.IndexHNSW):
        part = faiss.downcast_index(part.storage)
    return isinstance(part, faiss.IndexFlat | faiss.IndexIVFFlat)


def cause(error: RuntimeError) -> str:
    """The last part of a FAISS message: what is wrong, without the place in its source."""
    return str(error).strip().splitlines()[-1].rsplit(".cpp:", 1)[-1].partition(": ")[2] or str(error)
