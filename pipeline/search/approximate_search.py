"""Search through an index, whatever holds it: it gives a shortlist, which the stored vectors then rank."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .exact import ExactSearch

# how many times k candidates are worth measuring; short codes of many rows take the most
SHORTLISTS = (1, 4, 16, 64)


class ApproximateSearch(abc.ABC):
    """What finds the nearest rows through an index.

    Distances are exact and ties stand in row order, as in exact search; what an index can do is to miss a
    neighbor. A query for which it finds fewer than k (short lists) is answered by exact search. So the same
    shortlists give the same answer to the bit, in whichever order they come.

    Parameters
    ----------
    exact : ExactSearch
        Over the vectors that the index was built from.
    setting : {parameter: value}
        What trades recall for time, as `settings` names it; among them `shortlist`: how many times k
        candidates are ranked (k taken as 10 if it is less).

    Attributes
    ----------
    engine : str
        What holds the index, and the ending of its path: `faiss`, `lance`.
    filters : bool
        Whether it looks for images of some classes alone; if not, exact search answers such a query.
    """

    engine: str
    filters = False

    def __init__(self, exact: ExactSearch, setting: Mapping[str, int] | None = None) -> None:
        self.exact = exact
        self.apply(setting or {})

    def apply(self, setting: Mapping[str, int]) -> None:
        """Search with this setting from now on."""
        self.setting = dict(setting)

    @abc.abstractmethod
    def settings(self) -> list[dict[str, int]]:
        """The settings worth measuring; one, empty, for an index that has nothing to set."""

    @abc.abstractmethod
    def shortlist(
        self, queries: np.ndarray, k: int, classes: Sequence[str] = (), share: float = 1.0
    ) -> np.ndarray:
        """The (n, c) int64 rows that the index finds for k neighbors and the query itself; -1: no more.

        With `classes`, of images that show one of them, if the index `filters`; `share` of all rows may be
        found.
        """

    @abc.abstractmethod
    def counted(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, float]:
        """A shortlist, and how many comparisons each query took on average: the same on every machine."""

    @abc.abstractmethod
    def write(self, path: Path) -> None:
        """Put the index at `path`."""

    def on_gpu(self) -> ApproximateSearch | None:
        """The same on the GPU; None where there is none."""
        return None

    def search(
        self,
        queries: np.ndarray,
        k: int,
        *,
        exclude: np.ndarray | None = None,
        allowed: np.ndarray | None = None,
        classes: Sequence[str] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest rows that the index finds; as `ExactSearch.search` otherwise.

        `classes` is what an index that filters is told of `allowed`.
        """
        self.exact.check_enough(k, exclude, allowed)
        own = np.full(len(queries), -1) if exclude is None else np.asarray(exclude)
        share = 1.0 if allowed is None else float(np.mean(allowed))
        found = self.shortlist(queries, k, classes, share)
        valid = (found >= 0) & (found != own[:, None])
        if allowed is not None:
            valid &= allowed[found]
        lacking = np.flatnonzero(valid.sum(axis=1) < k)
        candidates = [row[keep] for row, keep in zip(found, valid, strict=True)]
        if len(lacking):
            again = self.exact.search(queries[lacking], k, exclude=own[lacking], allowed=allowed)[1]
            for number, rows in zip(lacking, again, strict=True):
                candidates[number] = rows
        asked = np.repeat(np.arange(len(queries)), [len(rows) for rows in candidates])
        return self.exact.reranker.nearest(
            queries, k, asked, np.concatenate([np.sort(rows) for rows in candidates])
        )

    def candidates(self, k: int) -> int:
        """How many rows to ask the index for: `shortlist` times k, and one for the query itself."""
        times = self.setting.get("shortlist", 1)
        return min((max(k, 10) * times if times > 1 else k) + 1, len(self.exact.vectors))

    def ranked(self, found: np.ndarray) -> int:
        """How many of a shortlist count as compared, for they are measured once more."""
        return found.shape[1] if self.setting.get("shortlist", 1) > 1 else 0
