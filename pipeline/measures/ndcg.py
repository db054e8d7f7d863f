"""NDCG@k (Järvelin & Kekäläinen 2002), with the number of shared classes as the gain."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .retrieval import Queries, RetrievalMeasure


@dataclasses.dataclass(frozen=True)
class NDCG(RetrievalMeasure):
    """NDCG@k: gains over log2(1 + rank), summed, over the sum in the best order."""

    name: ClassVar[str] = "NDCG"

    def of_queries(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """See `RetrievalMeasure`."""
        shared, deep = queries.shared, self.depth(queries.shared.shape[1])
        discounts = 1 / np.log2(np.arange(2, deep + 2))
        best = -np.sort(-shared, axis=1)[:, :deep] @ discounts
        ideal = np.where(queries.answerable, best, np.nan)
        by_chance = shared.sum(axis=1) / queries.others * discounts.sum()
        return queries.first(shared, self.k) @ discounts / ideal, by_chance / ideal
