"""Jaccard@k: the mean over the first k of shared over united classes."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .retrieval import Queries, RetrievalMeasure


@dataclasses.dataclass(frozen=True)
class JaccardAt(RetrievalMeasure):
    """Jaccard@k; a perfect order has 1 only where k others show the query's very classes."""

    name: ClassVar[str] = "Jaccard"

    def of_queries(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """See `RetrievalMeasure`."""
        shared, united = queries.shared, queries.united
        jaccard = np.divide(shared, united, out=np.zeros_like(shared), where=united > 0)
        value = queries.first(jaccard, self.k).mean(axis=1)
        by_chance = jaccard.sum(axis=1) / queries.others
        return np.where(queries.asks, value, np.nan), np.where(queries.asks, by_chance, np.nan)
