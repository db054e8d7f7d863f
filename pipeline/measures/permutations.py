"""What becomes of the product of two matrices of pairs when the images of one are permuted (Mantel 1967)."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class PairSums:
    """What the mean and the variance over all permutations need of an (N, N) matrix with an empty diagonal.

    Attributes
    ----------
    total, squares : float
        Sums of a_ij and of a_ij².
    mutual : float
        Sum of a_ij a_ji.
    rows, columns : float
        Sums of the squares of the sums of each row, and of each column.
    chains : float
        Sum over i of row i's sum times column i's.
    """

    total: float
    squares: float
    mutual: float
    rows: float
    columns: float
    chains: float

    @classmethod
    def symmetric(cls, squares: float, rows: float) -> PairSums:
        """Of a symmetric matrix whose mean is 0."""
        return cls(0.0, squares, squares, rows, rows, rows)

    @property
    def by_what_they_share(self) -> tuple[float, float, float, float, float]:
        """Sums of products of two entries: of the same row, the same column, a chain, none shared."""
        row, column, chain = (
            self.rows - self.squares,
            self.columns - self.squares,
            self.chains - self.mutual,
        )
        none = self.total**2 - self.squares - self.mutual - row - column - 2 * chain
        return row, column, chain, chain, none


def permuted_product(first: PairSums, second: PairSums, count: int) -> tuple[float, float]:
    """Mean and standard deviation of the sum of a_ij b_p(i)p(j) over all permutations p of `count` images."""
    pairs, triples = math.perm(count, 2), math.perm(count, 3)
    mean = first.total * second.total / pairs
    square = (first.squares * second.squares + first.mutual * second.mutual) / pairs
    *sharing, none = zip(first.by_what_they_share, second.by_what_they_share, strict=True)
    square += sum(a * b for a, b in sharing) / triples
    square += none[0] * none[1] / max(math.perm(count, 4), 1)
    return mean, math.sqrt(max(square - mean**2, 0.0))
