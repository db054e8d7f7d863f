"""The candidates of a search: the rows that can be among the k nearest, while blocks of scores come in."""

from __future__ import annotations

import numpy as np


class Candidates:
    """What may still be among the k nearest of `count` queries, given how far off a score may be."""

    def __init__(self, count: int, k: int) -> None:
        self._k = k
        self._best = np.full((count, k), -np.inf, np.float32)  # the k highest scores, each at its lowest
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, first: int, start: int, scores: np.ndarray, errors: np.ndarray) -> None:
        """Take in the (n, m) scores of queries from `first` on against rows from `start` on."""
        best = self._best[first : first + len(scores)]
        early = bool(np.isneginf(best).any())  # later, only what beats the best so far is looked at
        if early:
            kept = min(self._k, scores.shape[1])
            top = np.partition(scores, -kept, axis=1)[:, -kept:] - errors[:, None]
            best[:] = np.partition(np.concatenate([best, top], axis=1), -self._k, axis=1)[:, -self._k :]
        asked, rows = np.divmod(np.flatnonzero(scores >= self._least(best, errors)[:, None]), scores.shape[1])
        if early:
            self._parts.append((asked + first, rows + start, scores[asked, rows] + errors[asked]))
        else:
            self._keep(first, start, asked, rows, scores[asked, rows], errors)

    def add_columns(self, first: int, start: int, scores: np.ndarray, errors: np.ndarray) -> None:
        """As `add` with (m, n) scores, a column for each query."""
        best = self._best[first : first + scores.shape[1]]
        if np.isneginf(best).any():
            self.add(first, start, scores.T.copy(), errors)
            return
        rows, asked = np.divmod(np.flatnonzero(scores >= self._least(best, errors)), scores.shape[1])
        order = np.argsort(asked, kind="stable")
        asked, rows = asked[order], rows[order]
        self._keep(first, start, asked, rows, scores[rows, asked], errors)

    def final(self) -> tuple[np.ndarray, np.ndarray]:
        """The queries and rows that are left, sorted by query, then by row."""
        asked, rows, highest = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        left = highest >= self._best.min(axis=1)[asked]
        asked, rows = asked[left], rows[left]
        order = np.lexsort((rows, asked))
        return asked[order], rows[order]

    @staticmethod
    def _least(best: np.ndarray, errors: np.ndarray) -> np.ndarray:
        """The lowest score that may still be among the k best; above -inf, which is what is hidden."""
        least: np.ndarray = np.maximum(best.min(axis=1) - errors, np.finfo(np.float32).min)
        return least

    def _keep(
        self,
        first: int,
        start: int,
        asked: np.ndarray,
        rows: np.ndarray,
        scores: np.ndarray,
        errors: np.ndarray,
    ) -> None:
        """Keep a few candidates, in order of `asked`, and let them raise the best."""
        if not len(asked):
            return
        best = self._best[first : first + len(errors)]
        counts = np.bincount(asked, minlength=len(errors))
        new = np.full((len(errors), counts.max()), -np.inf, np.float32)
        new[asked, np.arange(len(asked)) - np.repeat(np.cumsum(counts) - counts, counts)] = (
            scores - errors[asked]
        )
        best[:] = np.partition(np.concatenate([best, new], axis=1), -self._k, axis=1)[:, -self._k :]
        left = scores >= self._least(best, errors)[asked]
        asked, rows, scores = asked[left], rows[left], scores[left]
        self._parts.append((asked + first, rows + start, scores + errors[asked]))


def hide(scores: np.ndarray, own: np.ndarray, start: int, allowed: np.ndarray | None) -> None:
    """Set the scores of what must not be found, among rows from `start` on, to -inf."""
    if allowed is not None:
        scores[:, ~allowed[start : start + scores.shape[1]]] = -np.inf
    here = np.flatnonzero(lie_within(own, start, scores.shape[1]))
    scores[here, own[here] - start] = -np.inf


def lie_within(rows: np.ndarray, start: int, count: int) -> np.ndarray:
    """Which of the rows are among the `count` from `start` on."""
    return (rows >= start) & (rows < start + count)
