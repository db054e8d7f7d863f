"""How models and probes are told apart in every figure: a color and a marker each, in their order."""

from __future__ import annotations

# Okabe & Ito (2008), with the darker ones first
_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X"]


def mark_of(number: int) -> tuple[str, str]:
    """The color and marker of the model with that number, from 0."""
    return _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
