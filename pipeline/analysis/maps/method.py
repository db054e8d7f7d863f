"""What a way to lay the rows of a layer out in the plane gets, and what it must give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from ...params.sections import Maps

Start = Literal["informed", "random"]  # from the data, as the method's authors do it, or from a draw


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the rows came to lie.

    Attributes
    ----------
    points : (N, 2) float64, finite
    told : {name: float}
        What the method says of its map, as a loss.
    """

    points: np.ndarray
    told: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class MapMethod:
    """A way to lay rows out in the plane; a file each, and a line in `maps.methods.METHODS`.

    The same rows, numbers, seed and start give the same bits on one machine, in whichever process and on
    however many threads. Rows that are equal or lie on a line are no errors, and a row more or less does not
    change the form of anything. The rows are left as they are. A library that is not there is an
    `ImportError` of `lay_out`; the method's own file can be imported without it.

    Attributes
    ----------
    title : str
        As people write it.
    fewest : int
        Images without which there is no map.
    packages : tuple of str
        Of a package index: those whose versions decide points beside all else.
    decided_by : function
        Of the settings and the number of images: the numbers that the method goes by, as plain JSON values,
        lowered where the images are too few for what is set.
    lay_out : function
        Of (N, D) features as they are stored, finite; what `decided_by` gave; a seed; and a start.
    install : str
        The command that brings its library, where the pipeline does not.
    """

    title: str
    fewest: int
    packages: tuple[str, ...]
    decided_by: Callable[[Maps, int], dict[str, Any]]
    lay_out: Callable[[np.ndarray, Mapping[str, Any], int, Start], Places]
    install: str = "pip install 'pool5[pipeline]'"


def two_columns(rows: np.ndarray) -> np.ndarray:
    """The rows, with a column of zeros beside a single one: libraries start from two components."""
    return rows if rows.shape[1] > 1 else np.pad(rows, ((0, 0), (0, 1)))
