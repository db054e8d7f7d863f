"""The orthogonal Procrustes distance (Schönemann 1966), as Ding et al. 2021 compare layers by it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .centred import CentredRows, cross_products, form_values
from .representation import Likeness, Representation, RepresentationMeasure

_MOST_DIMENSIONS = 2048  # of a singular value decomposition: seconds


@dataclasses.dataclass(frozen=True)
class Procrustes(RepresentationMeasure):
    """The squared distance that is left after the best rotation, both centred and of length 1: 0 to 2.

    Where there are few images for the number of dimensions, a rotation fits anything: chance is then far
    below 2, and tells it. There is no formula for it: `permutations` are drawn.
    Where two layers have more than 2048 dimensions, so many images are drawn, which span no more.
    """

    name: ClassVar[str] = "Procrustes"
    same: ClassVar[float] = 0.0
    permutations: int = 20
    seed: int = 0

    def images(self, count: int, widths: Sequence[int]) -> int:
        """See `RepresentationMeasure`."""
        second = sorted(widths)[-2:][0]
        return min(count, _MOST_DIMENSIONS) if second > _MOST_DIMENSIONS else count

    def prepare(self, representation: Representation) -> CentredRows:
        """See `RepresentationMeasure`."""
        rows = CentredRows.of(representation.vectors)
        if len(rows) > min(rows.width, _MOST_DIMENSIONS) or rows.scale == 0:
            return rows
        # the images span no more than N dimensions: the same, turned into these
        spanned: Any = np.linalg.qr(rows.rows(slice(None)).T.astype(np.float64), mode="r")
        return CentredRows.of(spanned.T)

    def compare(self, first: CentredRows, second: CentredRows) -> Likeness:
        """See `RepresentationMeasure`."""
        count = len(first)
        if first.scale == 0 or second.scale == 0:
            return Likeness(math.nan, np.zeros(count), math.nan, math.nan)
        left, sizes, right = np.linalg.svd(cross_products(first, second) / count, full_matrices=False)
        fitted = float(sizes.sum())
        along = form_values(first, left @ right, second)
        influences = fitted * (first.squares + second.squares) - 2 * along
        rng = np.random.default_rng(self.seed)
        drawn = [
            2 - 2 * _nuclear_norm(cross_products(first, second, rng.permutation(count)) / count)
            for _ in range(self.permutations)
        ]
        influences -= influences.mean()
        return Likeness(2 - 2 * fitted, influences, float(np.mean(drawn)), float(np.std(drawn)))


def _nuclear_norm(matrix: np.ndarray) -> float:
    """The sum of the singular values, to five digits: from the squares, which is faster."""
    squares = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(squares), 0)).sum())
