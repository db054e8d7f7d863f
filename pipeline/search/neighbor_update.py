"""A neighbor graph made from an earlier one, where that is cheaper than making it anew.

Every row is compared with those that are new; in full only what is new itself, and what has lost so much of
its list that the rest is too short. So that this is seldom, more is kept of each list than the graph holds.
What comes out is what making it anew gives, to the bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..params import Metric
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import NeighborFile
from .exact import ExactSearch
from .gpu import gpu_for
from .kept_rows import kept_rows, row_digests
from .neighbor_lists import EarlierLists
from .vectors import as_float32, sums_of_squares

_LISTS_AT_ONCE = 2048
_MEASURED = 60  # products that take as long as measuring one candidate
_SPARE = 0.25  # of the depth


class GraphUpdate:
    """What a graph can be made from, and what is kept of it for the next.

    Parameters
    ----------
    files : sequence of FeatureFile
    layer : str
    earlier : (path, path), optional
        A graph of the same layer, metric and depth, and what `save` kept beside it.
    """

    def __init__(
        self, files: Sequence[FeatureFile], layer: str, earlier: tuple[Path, Path] | None = None
    ) -> None:
        self._digests = {file.split: row_digests(file.layer(layer)) for file in files}
        self._beyond: dict[str, np.ndarray] = {}
        self._earlier = None if earlier is None else _Earlier.open(*earlier, self._digests)

    def nearest(
        self, asking: str, found: str, queries: np.ndarray, search: ExactSearch, depth: int, k: int
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The nearest rows of each row of a split, as `search` finds them; None if that is no dearer.

        It is none either where this takes so long that a GPU finds all of them sooner.

        Parameters
        ----------
        asking, found : str
        queries : (n, D) array
            The rows of `asking`.
        search : ExactSearch
            Among the rows of `found`.
        depth, k : int
            At least, and at most, so many of each.

        Returns
        -------
        distances : (n, k) float32
        rows : (n, k) int64
            As far as they are known; then inf and -1.
        """
        if self._earlier is None or not self._earlier.tells_of(asking, found):
            return None
        kept, others, own = self._earlier.kept[asking], self._earlier.kept[found], asking == found
        costs = _Costs(len(queries), len(others), k, halved=own)
        fresh = np.flatnonzero(others < 0)
        cost = costs.update(len(fresh), int((kept < 0).sum()))
        if not (kept >= 0).any() or cost >= costs.anew or gpu_for(cost * queries.shape[1]) is not None:
            return None
        fresh = fresh[_early_copies(search.vectors[fresh], k)]
        arrived = ExactSearch(search.vectors[fresh], search.metric)
        if not np.isfinite(sums_of_squares(as_float32(arrived.vectors))).all():
            return None  # making it anew says which row it is
        lists = self._earlier.lists(asking, found)
        distances, rows = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        for start in range(0, len(queries), _LISTS_AT_ONCE):
            piece = slice(start, start + _LISTS_AT_ONCE)
            known = lists.known_of(kept[piece])
            asked, new, far = arrived.within(queries[piece], known.radii(k))
            distances[piece], rows[piece] = known.merged(asked, fresh[new], far, k)
        again = np.flatnonzero(rows[:, depth - 1] < 0)
        if costs.update(len(fresh), len(again)) >= costs.anew:
            return None
        if len(again):
            in_full = search.search(queries[again], k, exclude=again if own else None)
            distances[again], rows[again] = in_full
        return distances, rows

    def keep(self, asking: str, found: str, distances: np.ndarray, rows: np.ndarray) -> None:
        """Keep what comes in each list after what the graph holds of it."""
        self._beyond |= {
            _place(asking, found, "rows"): rows.astype(np.int32),
            _place(asking, found, "distances"): distances.astype(np.float32),
        }

    def save(self, path: Path) -> None:
        """Keep, beside the graph, what the next one can be made from."""
        digests = {_place(split, "digests"): digests for split, digests in self._digests.items()}
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **digests, **self._beyond)


def with_spare(depth: int) -> int:
    """How many nearest rows are found, of which a graph of that depth holds the first."""
    return depth + int(np.ceil(_SPARE * depth))


def is_of(path: Path, layer: str, metric: Metric, depth: int) -> bool:
    """Whether a file is a graph of this <model>/<layer> that was made in the same way."""
    try:
        graph = NeighborFile.open(path)
    except (UserError, OSError):
        return False
    return (graph.layer, graph.metric, graph.depth) == (layer, metric, depth)


@dataclasses.dataclass(frozen=True)
class _Earlier:
    """An earlier graph.

    Attributes
    ----------
    graph : NeighborFile
    beyond : {name: array}
        As `GraphUpdate.save` kept it.
    kept : {split: (N,) int64}
        For each row of now the one that it was, increasing, or -1 for a new one.
    """

    graph: NeighborFile
    beyond: Mapping[str, np.ndarray]
    kept: Mapping[str, np.ndarray]

    @classmethod
    def open(cls, graph: Path, beside: Path, now: Mapping[str, np.ndarray]) -> _Earlier:
        opened = NeighborFile.open(graph)
        with np.load(beside, allow_pickle=False) as arrays:
            there = dict(arrays)
        both = [split for split in opened.splits if split in now]
        kept = {split: kept_rows(there[_place(split, "digests")], now[split]) for split in both}
        return cls(opened, there, kept)

    def tells_of(self, asking: str, found: str) -> bool:
        return {asking, found} <= self.kept.keys() and self.graph.split(found).engine == "exact"

    def lists(self, asking: str, found: str) -> EarlierLists:
        rows, distances = self.graph.nearest(asking, found)
        rows = np.hstack([rows, self.beyond[_place(asking, found, "rows")]])
        distances = np.hstack([distances, self.beyond[_place(asking, found, "distances")]])
        there = self.graph.split(found).rows
        return EarlierLists.of(rows, distances, there, self.kept[found], own=asking == found)


@dataclasses.dataclass(frozen=True)
class _Costs:
    """What finding the nearest costs, in products of two vectors."""

    asking: int
    found: int
    k: int
    halved: bool

    @property
    def anew(self) -> float:
        """All rows; within a split each product serves both of its sides."""
        return self.asking * (self.found / (1 + self.halved) + _MEASURED * self.k)

    def update(self, fresh: int, again: int) -> float:
        """Every row with the `fresh`, and `again` rows with all."""
        return self.asking * fresh + again * (self.found + _MEASURED * self.k)


def _early_copies(vectors: np.ndarray, k: int) -> np.ndarray:
    """The places of vectors with at most k equal ones before them: no other is among the k nearest of any."""
    _, codes = np.unique(row_digests(vectors), axis=0, return_inverse=True)
    order, sizes = np.argsort(codes.ravel(), kind="stable"), np.bincount(codes.ravel())
    number = np.arange(len(vectors)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[number <= k])


def _place(*names: str) -> str:
    return "/".join(name.replace("%", "%25").replace("/", "%2F") for name in names)
