"""Linear CKA (Kornblith et al. 2019) with the unbiased HSIC (Song et al. 2012), as in Nguyen et al. 2021."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np

from .centred import CentredRows, cross_products, form_values, pair_blocks
from .permutations import PairSums, permuted_product
from .representation import Likeness, Representation, RepresentationMeasure


@dataclasses.dataclass(frozen=True)
class _Side:
    """A representation, and what each image adds to its HSIC with itself."""

    rows: CentredRows
    own: np.ndarray


@dataclasses.dataclass(frozen=True)
class CKA(RepresentationMeasure):
    """The cosine between the two matrices of products of any two images, none of an image with itself.

    Its expectation does not depend on how many images there are, and is 0 for independent representations.
    """

    name: ClassVar[str] = "CKA"

    def prepare(self, representation: Representation) -> _Side:
        """See `RepresentationMeasure`."""
        rows = CentredRows.of(representation.vectors)
        return _Side(rows, hsic_by_image(rows, rows))

    def compare(self, first: _Side, second: _Side) -> Likeness:
        """See `RepresentationMeasure`."""
        shared, count = hsic_by_image(first.rows, second.rows), len(first.rows)
        own, other = first.own.mean(), second.own.mean()
        if own <= 0 or other <= 0:
            return Likeness(math.nan, np.zeros(count), math.nan, math.nan)
        size = math.sqrt(own * other)
        value = float(shared.mean() / size)
        # centring adds nothing to first order: the rows of either matrix add up to 0
        influences = 2 * (shared - shared.mean()) / size
        influences -= value * ((first.own - own) / own + (second.own - other) / other)
        one = PairSums.symmetric(1.0, 0.0)
        return Likeness(value, influences, *permuted_product(one, one, count))


def hsic_by_image(x: CentredRows, y: CentredRows) -> np.ndarray:
    """The (N,) sums over j of A_ij B_ij; their sum over N (N - 3) is the unbiased HSIC.

    A and B are the U-centred matrices of Székely and Rizzo 2014: products of two images, their diagonal left
    out, every row with the sum 0.
    """
    count, d, e = len(x), x.squares, y.squares
    a, b = d / (count - 2), e / (count - 2)
    # A_ij = x_i x_j + a_i + a_j - const; as rows of B add up to 0, only x_i x_j + a_j matters of it
    level = b - e.sum() / ((count - 1) * (count - 2))
    products: np.ndarray = _products(x, y) - d * e
    products += x.dot(x.sum(b)) - d * b + y.dot(y.sum(a)) - e * a
    products += (a @ b) - a * b + level * (a.sum() - a - d)
    return products


def _products(x: CentredRows, y: CentredRows) -> np.ndarray:
    """The (N,) sums over all j of (x_i x_j) (y_i y_j), by pairs of dimensions or of images: what is fewer."""
    count, same = len(x), x is y
    if 4 * x.width * y.width <= count * (x.width + y.width * (not same)):
        return form_values(x, cross_products(x, y), y)
    sums = np.zeros(count)
    for some, others in pair_blocks(count, max(x.width, y.width)):
        found = _gram(x, some, others)
        found *= found if same else _gram(y, some, others)
        sums[some] += found.sum(axis=1, dtype=np.float64)
        if some != others:
            sums[others] += found.sum(axis=0, dtype=np.float64)
    return sums


def _gram(x: CentredRows, some: slice, others: slice) -> np.ndarray:
    rows = x.rows(some)
    found: np.ndarray = rows @ (rows if some == others else x.rows(others)).T
    return found
