"""P@k: the share of relevant images among the first k."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .retrieval import Queries, RetrievalMeasure


@dataclasses.dataclass(frozen=True)
class PrecisionAt(RetrievalMeasure):
    """P@k; a query without a relevant image has 0."""

    name: ClassVar[str] = "P"

    def of_queries(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """See `RetrievalMeasure`."""
        hits = queries.first(queries.shared, self.k) > 0
        rate = queries.relevant / queries.others
        return np.where(queries.asks, hits.mean(axis=1), np.nan), np.where(queries.asks, rate, np.nan)
