"""Measures of how alike two representations of the same images are."""

from __future__ import annotations

import abc
import dataclasses
import re
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np


@dataclasses.dataclass(frozen=True)
class Representation:
    """What a layer makes of N images.

    Attributes
    ----------
    vectors : (N, D) float array
        Usually a memory map; it is read in blocks.
    neighbors : (N, m) int64
        The nearest other images of each, nearest first.
    """

    vectors: np.ndarray
    neighbors: np.ndarray


@dataclasses.dataclass(frozen=True)
class Likeness:
    """How alike two representations are, and what each image has to do with it.

    Attributes
    ----------
    value : float
        NaN where there is none: one of the two gives all images the same vector.
    influences : (N,) float64
        By how much the value rises with an image's weight (Hampel 1974), of mean 0: with weights w of mean 1
        it is `value + mean((w - 1) * influences)`, to first order. Their spread over the square root of N is
        the value's standard error.
    chance, chance_sd : float
        The mean and the standard deviation of the value over permutations of the images of one of the two:
        what independent representations would give.
    """

    value: float
    influences: np.ndarray
    chance: float
    chance_sd: float


class RepresentationMeasure(abc.ABC):
    """A measure of two representations; its text is its name, as `CKA`.

    What holds for every measure, and `tests/measures/representation_tests.py` asks of each: the order of the
    two, the numbering of the images, a rotation or another scale of all vectors change nothing; a
    representation and itself have `same`, the value of what cannot be more alike; chance is what
    permutations give on average; and influences foretell, but for one factor, what becomes of the value when
    images are left out. In a bootstrap's resample an image may stand twice, and its copies would be at
    distance 0: an interval from influences weighs the image instead.

    Attributes
    ----------
    name : str
    same : float
        1 of what rises with likeness, 0 of a distance.
    least : int
        Images that it needs.
    """

    name: ClassVar[str]
    same: ClassVar[float] = 1.0
    least: ClassVar[int] = 4

    def __str__(self) -> str:
        return self.name

    @classmethod
    def forms(cls) -> tuple[str, ...]:
        """How its name may be written."""
        return (cls.name,)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The measure of that name; None if it is of another kind."""
        return cls() if re.fullmatch(cls.name, text) else None

    def images(self, count: int, widths: Sequence[int]) -> int:
        """How many of `count` images it compares, in layers of such widths; fewer where all take too long."""
        del widths
        return count

    @abc.abstractmethod
    def prepare(self, representation: Representation) -> Any:
        """What of one representation serves all comparisons with others."""

    @abc.abstractmethod
    def compare(self, first: Any, second: Any) -> Likeness:
        """Two of the same images, as `prepare` gives them."""
