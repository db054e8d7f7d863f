"""What one request may ask for."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may ask for, and all of them together.

    Attributes
    ----------
    k : int
        Neighbors.
    body_bytes : int
    pixels : int
        Of an image that is sent.
    ids : int
        Terms of a question.
    """

    k: int = 5000
    body_bytes: int = 20_000_000
    pixels: int = 100_000_000
    ids: int = 1000
