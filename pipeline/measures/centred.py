"""Rows of vectors, centred and scaled, read in blocks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

_BLOCK_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class CentredRows:
    """Vectors whose mean is 0 and whose mean square of length is 1; only a block of them is in memory.

    Attributes
    ----------
    vectors : (N, D) float array
        As they were.
    mean : (D,) float32
    scale : float
        0 where all vectors are the same.
    squares : (N,) float64
        Squared lengths after centring and scaling.
    """

    vectors: np.ndarray
    mean: np.ndarray
    scale: float
    squares: np.ndarray

    @classmethod
    def of(cls, vectors: np.ndarray) -> CentredRows:
        """Find the mean and the scale, in two passes."""
        count, width = vectors.shape
        total = np.zeros(width)
        for rows in _slices(count, width):
            total += vectors[rows].sum(axis=0, dtype=np.float64)
        mean = (total / max(count, 1)).astype(np.float32)
        raw = cls(vectors, mean, 1.0, np.empty(0))
        squares = np.concatenate([np.einsum("nd,nd->n", x, x, dtype=np.float64) for _, x in raw.blocks()])
        scale = float(np.sqrt(squares.mean()))
        return cls(vectors, mean, scale, squares / scale**2 if scale > 0 else squares)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def width(self) -> int:
        """D."""
        return int(self.vectors.shape[1])

    def rows(self, chosen: slice | np.ndarray) -> np.ndarray:
        """Some of them, (n, D) float32."""
        rows: np.ndarray = np.asarray(self.vectors[chosen], np.float32) - self.mean
        rows *= np.float32(1 / self.scale if self.scale > 0 else 1.0)
        return rows

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All of them, some at a time, with their places."""
        for some in _slices(len(self), self.width):
            yield some, self.rows(some)

    def sum(self, weights: np.ndarray) -> np.ndarray:
        """The (D,) sum of all rows by (N,) weights."""
        total = np.zeros(self.width)
        for some, rows in self.blocks():
            total += weights[some].astype(np.float32) @ rows
        return total

    def dot(self, vector: np.ndarray) -> np.ndarray:
        """The (N,) products of each row with a (D,) vector."""
        return np.concatenate([rows @ vector.astype(np.float32) for _, rows in self.blocks()]).astype(float)


def cross_products(x: CentredRows, y: CentredRows, order: np.ndarray | None = None) -> np.ndarray:
    """The (D, E) float64 sum over i of x_i y_i', or of x_i y_order[i]'."""
    total = np.zeros((x.width, y.width))
    for some in _slices(len(x), max(x.width, y.width)):
        total += x.rows(some).T @ y.rows(some if order is None else order[some])
    return total


def form_values(x: CentredRows, matrix: np.ndarray, y: CentredRows) -> np.ndarray:
    """The (N,) values x_i' matrix y_i."""
    matrix = matrix.astype(np.float32)
    found = [
        np.einsum("ne,ne->n", x.rows(some) @ matrix, y.rows(some), dtype=np.float64)
        for some in _slices(len(x), max(x.width, y.width))
    ]
    return np.concatenate(found)


def pair_blocks(count: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of rows by blocks of rows, which cover each pair once."""
    slices = list(_slices(count, width))
    return ((a, b) for number, a in enumerate(slices) for b in slices[number:])


def _slices(count: int, width: int) -> Iterator[slice]:
    step = min(max(_BLOCK_BYTES // (4 * max(width, 1)), 64), 4096)
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
