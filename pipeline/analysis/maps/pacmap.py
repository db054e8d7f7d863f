"""PaCMAP maps (Wang, Huang, Rudin and Shaposhnik 2021), by their own library."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...params.sections import Maps
from .method import Places, Start, two_columns
from .one_thread import one_thread
from .tsne import centred

_NEIGHBORS = 10  # as its authors begin with


def decided_by(settings: Maps, count: int) -> dict[str, Any]:
    """How many neighbors of an image are drawn to it."""
    return {"n_neighbors": min(settings.neighbors or _NEIGHBORS, max(count - 1, 2))}


def lay_out(features: np.ndarray, decided: Mapping[str, Any], seed: int, start: Start) -> Places:
    """As its authors do it: from the first hundred principal components, or from all columns of fewer."""
    from pacmap import PaCMAP  # not installed everywhere, and it compiles

    with one_thread(), _quiet():  # pacmap itself would leave FAISS with one thread
        pacmap = PaCMAP(**decided, random_state=seed)
        rows = two_columns(centred(features))
        points = pacmap.fit_transform(rows, init="pca" if start == "informed" else "random")
    return Places(np.asarray(points, np.float64))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without a word of the seed, which is meant."""
    log = logging.getLogger("pacmap.pacmap")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
