"""What a stored row is, seen as an array: its shape, what its axes mean, and what it was pooled from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, get_args

import msgspec

Axes = Literal["", "C", "C,H,W", "H,W,C", "tokens,C"]
_MOST_AXES = 32  # as in HDF5


class LayerShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of a layer for one image, as it was before it became a row.

    `row.reshape(shape)` gives it back. Of a pooled layer the row is what pooling gave, (C,), and
    `pooled_from` is what was pooled.

    Attributes
    ----------
    shape : tuple of int
        Their product is the width of a row.
    axes : str
        What each axis is: channels, height, width, tokens; "" where that is not known.
    prefix_tokens : int
        How many of the tokens, the first ones, stand for no place: class and register tokens. `mean`, `max`
        and `gem` leave them out; `cls` takes the first.
    pooled_from : LayerShape or None
        None: nothing was pooled.

    Raises
    ------
    ValueError
        If these do not go together.
    """

    shape: tuple[int, ...]
    axes: Axes = ""
    prefix_tokens: int = 0
    pooled_from: LayerShape | None = None

    def __post_init__(self) -> None:
        for rule in self._broken_rules():
            raise ValueError(f"{self!r:.200}: {rule}")

    def _broken_rules(self) -> Iterator[str]:
        if self.axes not in get_args(Axes):
            yield f"axes are one of {get_args(Axes)}"
        if not 0 < len(self.shape) <= _MOST_AXES:
            yield f"a value has 1 to {_MOST_AXES} axes"
        if not all(type(length) is int and length > 0 for length in self.shape):
            yield "lengths are integers above 0"
        if self.axes and self.axes.count(",") + 1 != len(self.shape):
            yield "there is a length for each axis"
        if not 0 <= self.prefix_tokens <= self._lengths.get("tokens", 0):
            yield "prefix tokens are among the tokens"
        if whole := self.pooled_from:
            if self.axes != "C" or whole.channels != self.channels:
                yield "pooling gives the channels of what was pooled"
            if whole.pooled_from:
                yield "a layer is pooled once"

    def __str__(self) -> str:
        lengths = " x ".join(map(str, self.shape))
        if not self.axes:
            return lengths
        prefix = f"; {self.prefix_tokens} of them prefix tokens" if self.prefix_tokens else ""
        return f"{lengths} ({self.axes.replace(',', ', ')}{prefix})"

    @property
    def width(self) -> int:
        """Values of a row."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int | None:
        """Length of the axis C; None where the axes are not known."""
        return self._lengths.get("C")

    @property
    def _lengths(self) -> dict[str, int]:
        return dict(zip(self.axes.split(","), self.shape, strict=False)) if self.axes else {}

    def check_fits(self, width: int, pool: str) -> None:
        """`ValueError` unless this may be the shape of rows of that width, which were pooled in that way."""
        if self.width != width:
            raise ValueError(f"rows of {width} values are not {self}")
        if self.pooled_from and pool == "flatten":
            raise ValueError(
                f"{self} of {self.pooled_from} is pooled, and its feature key says that it is not"
            )

    def json(self) -> str:
        """The shape as canonical JSON: keys sorted, no spaces, every field."""
        return msgspec.json.encode(self, order="sorted").decode()

    @classmethod
    def from_json(cls, text: str) -> LayerShape:
        """The shape that `json()` wrote; `ValueError` if `text` is none."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
            raise ValueError(f"no shape of a layer: {error}") from None
