"""The lists of nearest rows that a neighbor graph holds, after some rows are gone and others have come.

The nearest of a row are those that come first by distance and, at the same distance, by row number. The
distance of a pair has the same bits whatever else is asked (`search.exact`), so a list holds as far as its
rows are still there and in the same order. Beyond its last row it says nothing.
"""

from __future__ import annotations

import dataclasses

import numpy as np

_NONE = np.float32(np.inf)  # the distance of what is not there


@dataclasses.dataclass(frozen=True)
class KnownLists:
    """What is known of the nearest of some rows, among those that are not new.

    Attributes
    ----------
    rows, distances : (n, w) int64 and float32
        By the numbers of now, nearest first; -1 and inf for what is gone, and all over for a new row.
    last_distances, last_rows : (n,) float32 and int64
        What comes before this place, and is not new, is in the list.
    """

    rows: np.ndarray
    distances: np.ndarray
    last_distances: np.ndarray
    last_rows: np.ndarray

    def radii(self, k: int) -> np.ndarray:
        """How near a new row has to be to come into the first k of each list."""
        if self.distances.shape[1] < k:
            return self.last_distances
        radii: np.ndarray = np.minimum(np.sort(self.distances, axis=1)[:, k - 1], self.last_distances)
        return radii

    def merged(
        self, asked: np.ndarray, new: np.ndarray, distances: np.ndarray, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The first k of each list with the new rows in it.

        Parameters
        ----------
        asked : (c,) int
            For which list each new row is; ascending.
        new : (c,) int
            New rows, by the numbers of now: of each list all that lie within `radii`.
        distances : (c,) float32
        k : int

        Returns
        -------
        distances : (n, k) float32
        rows : (n, k) int64
            As far as they are known; then inf and -1.
        """
        counts = np.bincount(asked, minlength=len(self.rows))
        shape = len(self.rows), max(counts.max(initial=0), k - self.rows.shape[1])
        more, far = np.full(shape, -1), np.full(shape, _NONE)
        place = np.arange(len(asked)) - np.repeat(np.cumsum(counts) - counts, counts)
        more[asked, place], far[asked, place] = new, distances
        rows, distances = np.hstack([self.rows, more]), np.hstack([self.distances, far])
        changed = np.flatnonzero((counts > 0) | (self.rows < 0).any(axis=1))
        order = np.lexsort((rows[changed], distances[changed]), axis=1)
        for each in rows, distances:
            each[changed] = np.take_along_axis(each[changed], order, axis=1)
        rows, distances = rows[:, :k], distances[:, :k]
        last, row = self.last_distances[:, None], self.last_rows[:, None]
        known = (rows >= 0) & ((distances < last) | ((distances == last) & (rows < row)))
        return np.where(known, distances, _NONE), np.where(known, rows, -1)


@dataclasses.dataclass(frozen=True)
class EarlierLists:
    """The lists between two splits of an earlier graph, and where the rows that they name are now.

    Attributes
    ----------
    rows, distances : (m, w) int64 and float32
        By the numbers that the rows had; -1 and inf where a list ends.
    count : int
        How many rows there were to find.
    now : (rows that there were + 1,) int64
        Where each is now; -1 if it is gone.
    following : as `now`
        Where the first is now that stood there or behind, and is not gone; else how many rows there are now.
    """

    rows: np.ndarray
    distances: np.ndarray
    count: int
    now: np.ndarray
    following: np.ndarray

    @classmethod
    def of(
        cls, rows: np.ndarray, distances: np.ndarray, there: int, kept: np.ndarray, own: bool
    ) -> EarlierLists:
        """The lists of an earlier graph.

        Parameters
        ----------
        rows, distances : (m, w) arrays
        there : int
            How many rows the split had in which they were found.
        kept : (N,) int64
            For each row of now the one that it was, increasing, or -1.
        own : bool
            Whether that is the split of the lists themselves, each without its own row.
        """
        still = np.flatnonzero(kept >= 0)
        now = np.full(there + 1, -1)
        now[kept[still]] = still
        following = np.minimum.accumulate(np.where(now >= 0, now, len(kept))[::-1])[::-1]
        return cls(rows, distances, there - own, now, following)

    def known_of(self, kept: np.ndarray) -> KnownLists:
        """Of the rows that stood at `kept`; nothing is known of a new row, which has -1 there."""
        before, still = self.rows[kept], kept >= 0
        rows = np.where(still[:, None], self.now[before], -1)
        distances = np.where(rows >= 0, self.distances[kept], _NONE)
        lengths = (before >= 0).sum(axis=1)
        ends = np.where(lengths < self.count, lengths - 1, -1)  # of what does not hold all that there was
        last, behind = np.full(len(kept), _NONE), np.full(len(kept), self.following[-1])
        some = np.flatnonzero(ends >= 0)
        last[some] = self.distances[kept[some], ends[some]]
        behind[some] = self.following[before[some, ends[some]] + 1]
        return KnownLists(rows, distances, np.where(still, last, -_NONE), behind)
