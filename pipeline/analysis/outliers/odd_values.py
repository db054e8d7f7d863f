"""Which values of many are odd, and what they are compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ...measures.robust_score import Middle, middle
from ...results.outliers import Compared, OddImage

_STEPS = 40  # of a histogram
_LEAST = 1e-6  # what has a logarithm


@dataclasses.dataclass(frozen=True)
class Values:
    """A value of every image.

    Attributes
    ----------
    values : (N,) float64, N > 0
    above : bool
        Whether high values are odd, or low ones.
    logarithmic : bool
        Whether scores are of the logarithms: of what is skewed as sizes are.
    """

    values: np.ndarray
    above: bool = True
    logarithmic: bool = False

    @property
    def compared(self) -> Compared:
        """What a value is compared with."""
        counts, edges = np.histogram(self.values, _STEPS)
        return Compared(
            images=len(self.values),
            median=float(np.median(self.values)),
            spread=self._middle.spread,
            logarithmic=self.logarithmic,
            edges=(float(edges[0]), float(edges[-1])),
            counts=tuple(counts.tolist()),
        )

    def scores(self, values: np.ndarray) -> np.ndarray:
        """How odd some values are, in spreads from the median; NaN where all are the same."""
        found = self._middle.scores(self._scaled(values))
        if found is None:
            return np.full(len(values), np.nan)
        return found if self.above else -found

    def told(
        self,
        values: np.ndarray,
        splits: Sequence[str],
        ids: Sequence[str],
        nearest: Sequence[str] = (),
    ) -> tuple[OddImage, ...]:
        """Some of the values, or others on the same scale, each with what it is among all of them."""
        ordered = np.sort(self.values if self.above else -self.values)
        asked = values if self.above else -values
        less = np.searchsorted(ordered, asked, "left")
        more = len(ordered) - np.searchsorted(ordered, asked, "right")
        scores = self.scores(values)
        return tuple(
            OddImage(
                split=splits[n],
                id=ids[n],
                value=float(values[n]),
                rank=int(more[n]) + 1,
                quantile=int(less[n]) / len(ordered),
                score=None if np.isnan(scores[n]) else float(scores[n]),
                nearest=nearest[n] if len(nearest) else "",
            )
            for n in range(len(values))
        )

    @property
    def _middle(self) -> Middle:
        return middle(self._scaled(self.values))

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        return np.log(np.maximum(values, _LEAST)) if self.logarithmic else values
