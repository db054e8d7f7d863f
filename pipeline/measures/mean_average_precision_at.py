"""mAP@k: the mean of P@i over the ranks i <= k that are relevant, over min(k, R) with R relevant in all."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .retrieval import Queries, RetrievalMeasure


@dataclasses.dataclass(frozen=True)
class MeanAveragePrecisionAt(RetrievalMeasure):
    """mAP@k; the AP@k of each query, whose mean over queries is the mAP."""

    name: ClassVar[str] = "mAP"

    def of_queries(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        """See `RetrievalMeasure`."""
        hits = queries.first(queries.shared, self.k) > 0
        ranks = np.arange(1, hits.shape[1] + 1)
        most = np.where(queries.answerable, np.minimum(queries.relevant, self.k), np.nan)
        precision = hits.cumsum(axis=1) / ranks
        # at rank i: relevant itself, and so are those before it, drawn without putting back
        rate = queries.relevant / queries.others
        rate_given_one = np.maximum(queries.relevant - 1, 0) / max(queries.others - 1, 1)
        expected = (rate[:, None] + (ranks - 1) * (rate * rate_given_one)[:, None]) / ranks
        return (precision * hits).sum(axis=1) / most, expected.sum(axis=1) / most
