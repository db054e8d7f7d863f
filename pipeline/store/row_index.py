"""Where the rows of some images are among many shards, in memory that grows with the images asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from .row_shard import Table, sort_key

_MOST_RUNS = 16
_WORD = np.uint64(64)
_Halves = tuple[np.ndarray, np.ndarray]
_Run = tuple[np.ndarray, np.ndarray, np.ndarray]  # high, low, (n, 2) place; sorted by high, then low


class RowIndex:
    """{digest: number of the shard and row in it}, of wanted digests alone.

    Shards are taken in as they come. What each adds is a sorted run; runs are merged when they are many.

    Parameters
    ----------
    wanted : (m, 16) uint8, optional
        Nothing else is kept; everything is without it.
    """

    def __init__(self, wanted: np.ndarray | None = None) -> None:
        self._wanted = None
        if wanted is not None:
            high, low = sort_key(wanted)
            order = np.lexsort((low, high))
            self._wanted = high[order], low[order]
            # most digests of a large cache are told to be no one's by their first bits, which costs a tenth
            self._bits = np.uint64(min(max(len(high), 1).bit_length() + 5, 27))
            first_bits = np.zeros(1 << int(self._bits), bool)
            first_bits[high >> (_WORD - self._bits)] = True
            self._first_bits = np.packbits(first_bits, bitorder="little")  # eight times nearer the processor
        self._runs: list[_Run] = []

    def add(self, tables: Iterable[tuple[int, Table]]) -> None:
        """Take in shards by their numbers; of each no more than what is wanted is held."""
        parts = [part for number, table in tables if len((part := self._part(number, table))[0])]
        if parts:
            self._runs.append(_merged(parts))
        if len(self._runs) > _MOST_RUNS:
            self._runs = [_merged(self._runs)]

    def drop(self, number: int) -> None:
        """Forget a shard."""
        kept = [(run, run[2][:, 0] != number) for run in self._runs]
        self._runs = [(high[mask], low[mask], place[mask]) for (high, low, place), mask in kept]

    def rows_of(self) -> dict[int, int]:
        """{number of a shard: how many of its rows are kept}."""
        numbers = np.concatenate([np.empty(0, np.int64), *(place[:, 0] for _, _, place in self._runs)])
        return dict(zip(*(part.tolist() for part in np.unique(numbers, return_counts=True)), strict=True))

    def find(self, digests: np.ndarray, rank: np.ndarray) -> np.ndarray:
        """Where rows are.

        Parameters
        ----------
        digests : (n, 16) uint8
        rank : (shards,) int64
            Of several rows of one digest that of the shard with the least rank is taken.

        Returns
        -------
        (n, 2) int64
            Number of the shard and row in it; -1, -1 for an image without a row.
        """
        found = np.full((len(digests), 2), -1, np.int64)
        best = np.full(len(digests), np.iinfo(np.int64).max)
        wanted = sort_key(digests)
        for high, low, place in self._runs:
            for asked, at in _hits(wanted, (high, low)):
                better = rank[place[at, 0]] < best[asked]
                asked, at = asked[better], at[better]
                found[asked], best[asked] = place[at], rank[place[at, 0]]
        return found

    def _part(self, number: int, table: Table) -> _Run:
        high, low = sort_key(table.digests)
        kept = np.arange(len(high))
        if self._wanted is not None:
            may_be = self._may_be_wanted(high)
            kept = may_be[_members((high[may_be], low[may_be]), self._wanted)]
        place = np.column_stack([np.full(len(kept), number), table.rows[kept]])
        return high[kept], low[kept], place

    def _may_be_wanted(self, high: np.ndarray) -> np.ndarray:
        """Positions of digests whose first bits are those of a wanted one."""
        first = high >> (_WORD - self._bits)
        byte = self._first_bits[first >> np.uint64(3)]
        return np.flatnonzero(byte >> (first & np.uint64(7)).astype(np.uint8) & 1)


def _merged(parts: list[_Run]) -> _Run:
    high, low, place = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.lexsort((low, high))
    return high[order], low[order], place[order]


def _members(those: _Halves, wanted: _Halves) -> np.ndarray:
    """Which of some sorted digests are wanted, both as (high, low); positions in order."""
    found = np.zeros(len(those[0]), bool)
    if len(those[0]) <= len(wanted[0]):  # the fewer are looked up among the more
        for asked, _ in _hits(those, wanted):
            found[asked] = True
    else:
        for _, at in _hits(wanted, those):
            found[at] = True
    return np.flatnonzero(found)


def _hits(asked: _Halves, among: _Halves) -> Iterator[_Halves]:
    """Pairs of positions of equal digests, in rounds; more than one where digests come more than once, or
    share their first eight bytes.
    """
    (high, low), (high_of, low_of) = asked, among
    at = np.searchsorted(high_of, high)
    open_ = np.flatnonzero(at < len(high_of))
    while len(open_):
        here = at[open_]
        open_, here = open_[same := high_of[here] == high[open_]], here[same]
        hit = low_of[here] == low[open_]
        yield open_[hit], here[hit]
        at[open_] += 1
        open_ = open_[at[open_] < len(high_of)]
