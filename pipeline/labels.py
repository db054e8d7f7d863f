"""Multi-label annotation, kept sparse: of a thousand classes an image shows one or two."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # brought when labels are made: a query by id makes none, and does not wait for it
    import scipy.sparse

_BLOCK = 1 << 24  # values of a dense block


class Labels:
    """(N, C) labels: 1 present, -1 absent, 0 only difficult instances.

    What is kept is what is not -1. `numpy.asarray` gives all of them, (N, C) int8.
    """

    def __init__(self, entries: scipy.sparse.csr_array) -> None:
        self._entries = entries  # 2 present, 1 difficult: labels + 1

    @classmethod
    def dense(cls, labels: np.ndarray) -> Labels:
        """Of an (N, C) array of them, which may be a map of a file: no more than some rows are copied."""
        import scipy.sparse

        step = _rows_of_a_block(labels.shape[1])
        blocks = (labels[start : start + step] for start in range(0, max(1, len(labels)), step))
        parts = [scipy.sparse.csr_array(np.asarray(block, np.int8) + np.int8(1)) for block in blocks]
        return cls(parts[0] if len(parts) == 1 else scipy.sparse.vstack(parts, format="csr"))

    @classmethod
    def taken(cls, labels: Labels | np.ndarray) -> Labels:
        """Such labels as they are, or of an array."""
        return labels if isinstance(labels, Labels) else cls.dense(labels)

    @classmethod
    def stacked(cls, parts: Sequence[Labels]) -> Labels:
        """The rows of all, one after another."""
        import scipy.sparse

        return cls(scipy.sparse.vstack([part._entries for part in parts], format="csr"))

    @classmethod
    def of(cls, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> Labels:
        """Of places, each once, and the labels there, which are 1 or 0; -1 everywhere else."""
        import scipy.sparse

        entries = scipy.sparse.coo_array((np.asarray(values, np.int8) + np.int8(1), (rows, columns)), shape)
        return cls(entries.tocsr())

    @classmethod
    def none(cls, rows: int) -> Labels:
        """Of images without classes."""
        import scipy.sparse

        return cls(scipy.sparse.csr_array((rows, 0), dtype=np.int8))

    @property
    def shape(self) -> tuple[int, int]:
        """(N, C)."""
        return self._entries.shape  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Labels:
        """Those of some rows: indices, a mask or a slice."""
        return Labels(self._entries[rows])

    def columns(self, columns: Sequence[int]) -> Labels:
        """Those of some classes, in this order."""
        return Labels(self._entries[:, list(columns)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values: np.ndarray = self._entries.toarray() - np.int8(1)
        return values if dtype is None else values.astype(dtype)

    def count(self, label: int) -> np.ndarray:
        """How many images have this label, 1 or 0, for each class: (C,) int64."""
        entries = self._entries
        return np.bincount(entries.indices[entries.data == label + 1], minlength=self.shape[1])

    def present(self) -> scipy.sparse.csr_array:
        """(N, C) float32: 1 where an image shows a class."""
        return (self._entries == 2).astype(np.float32)

    def images_of_classes(self) -> list[np.ndarray]:
        """The rows of the images that show each class, ascending."""
        by_class = self.present().tocsc()
        return np.split(by_class.indices, by_class.indptr[1:-1]) if self.shape[1] else []

    def shown(self) -> np.ndarray:
        """Which images show any class: (N,) bool."""
        entries = self._entries
        owners = np.repeat(np.arange(len(self)), np.diff(entries.indptr))
        return np.bincount(owners[entries.data == 2], minlength=len(self)).astype(bool)

    def entries(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is not -1, row by row: the bounds of each row (N + 1,), the columns, the labels (1 or 0)."""
        entries = self._entries.sorted_indices()
        return entries.indptr, entries.indices, entries.data - np.int8(1)

    def each(self, label: int) -> Iterator[np.ndarray]:
        """The columns of the classes with this label, 1 or 0, row by row."""
        bounds, columns, labels = self.entries()
        for start, end in itertools.pairwise(bounds.tolist()):
            yield columns[start:end][labels[start:end] == label]

    def blocks(self) -> Iterator[np.ndarray]:
        """All labels, some rows at a time: (n, C) int8."""
        step = _rows_of_a_block(self.shape[1])
        for start in range(0, len(self), step):
            yield np.asarray(self[start : start + step])


def _rows_of_a_block(classes: int) -> int:
    return max(1, _BLOCK // max(1, classes))
