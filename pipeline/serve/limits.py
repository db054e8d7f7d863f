"""What one request may ask for, and all of them together."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may ask for, and all of them together.

    Attributes
    ----------
    k : int
        Neighbors.
    ids : int
        Terms of a question.
    body_bytes, bodies_bytes : int
        Of one body, and of all that are in memory.
    body_seconds : float
        In which a body has to arrive.
    pixels : int
        Of an image that is sent.
    waiting : int
        Questions that may wait for an answer.
    rate : float
        Requests a second of one client, who may save up those of `burst` seconds; 0 for any number.
    """

    k: int = 5000
    ids: int = 1000
    body_bytes: int = 20_000_000
    bodies_bytes: int = 200_000_000
    body_seconds: float = 30.0
    pixels: int = 100_000_000
    waiting: int = 500
    rate: float = 0.0
    burst: float = 10.0
