"""Which rows of a layer are still those of an earlier one: by their bytes, and in the same order."""

from __future__ import annotations

import bisect

import numpy as np

from ..store.checksums import block_checksums


def row_digests(vectors: np.ndarray) -> np.ndarray:
    """The (N, 16) uint8 digests of the bytes of (N, D) vectors, row by row."""
    return block_checksums(vectors, 1)


def kept_rows(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """For each row the earlier one that it is, or -1; of those that are not -1 each is above the last.

    Order counts, because rows at the same distance stand in row order. So a row that has moved past others
    is a new one. As in Bram Cohen's patience diff, rows that are there once align the two, by the longest
    increasing run of them (Schensted 1961); rows of which there are copies are kept beside those.

    Parameters
    ----------
    before, now : (N, 16) uint8
        Digests of rows.

    Returns
    -------
    (number of rows now,) int64
    """
    _, codes = np.unique(np.concatenate([before, now]), axis=0, return_inverse=True)
    codes = codes.ravel()
    old, new = codes[: len(before)], codes[len(before) :]
    place = np.full(codes.max(initial=-1) + 1, -1)
    place[old] = np.arange(len(old))
    place[(np.bincount(old, minlength=len(place)) != 1) | (np.bincount(new, minlength=len(place)) != 1)] = -1
    kept = place[new]
    there = np.flatnonzero(kept >= 0)
    kept[np.delete(there, _longest_increasing(kept[there]))] = -1
    _keep_beside(kept, old, new)
    return kept


def _longest_increasing(numbers: np.ndarray) -> list[int]:
    """The places of a longest increasing subsequence of different numbers."""
    ends: list[int] = []  # of the runs of length 1, 2, …: the smallest last number, and where it stands
    at: list[int] = []
    previous = []
    for place, number in enumerate(numbers.tolist()):
        length = bisect.bisect_left(ends, number)
        previous.append(at[length - 1] if length else -1)
        ends[length : length + 1], at[length : length + 1] = [number], [place]
    run = []
    place = at[-1] if at else -1
    while place >= 0:
        run.append(place)
        place = previous[place]
    return run[::-1]


def _keep_beside(kept: np.ndarray, old: np.ndarray, new: np.ndarray) -> None:
    """Keep a row if it is the old one after, or before, that of its neighbor; the ends of both align."""
    free = np.ones(len(old), bool)
    free[kept[kept >= 0]] = False
    for step, start, stop in ((1, 0, len(new)), (-1, len(new) - 1, -1)):
        beside: int | None = -1 if step == 1 else len(old)
        for row in range(start, stop, step):
            if kept[row] < 0 and beside is not None:
                wanted = beside + step
                if 0 <= wanted < len(old) and free[wanted] and old[wanted] == new[row]:
                    kept[row], free[wanted] = wanted, False
            beside = int(kept[row]) if kept[row] >= 0 else None
