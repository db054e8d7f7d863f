"""The published features of one model on one split: opened in milliseconds, read as memory maps."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from ..errors import UserError
from ..files.hints import did_you_mean
from .checksums import block_checksums
from .feature_key import FeatureKey
from .feature_writer import layer_digest, write_feature_file
from .header import FORMAT, check_header

__all__ = ["FeatureFile", "write_feature_file"]

_CANDIDATES = 20_000  # ids that a mistyped one is compared with


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """A dataset of the file: a map of its rows, and the checksum of each block of rows.

    Attributes
    ----------
    rows : (N, …) array
        A read-only memory map; nothing is read before it is touched.
    checksums : (ceil(N / block_rows), 16) uint8
    block_rows : int
    """

    rows: np.ndarray
    checksums: np.ndarray
    block_rows: int

    def damaged_blocks(self) -> list[tuple[int, int]]:
        """The (first, last + 1) rows of every block whose bytes are not those that were written."""
        damaged = []
        for number, expected in enumerate(self.checksums):
            start = number * self.block_rows
            rows = self.rows[start : start + self.block_rows]
            if not np.array_equal(block_checksums(rows, self.block_rows)[0], expected):
                damaged.append((start, start + len(rows)))
        return damaged


class FeatureFile:
    """A feature file, open for reading.

    Attributes
    ----------
    path : Path
    dataset, split, model : str
    classes : tuple of C str
    ids : (N,) array of str
    digests : (N, 16) uint8
        BLAKE2b-128 of each image file's bytes.
    labels : (N, C) int8
        1 present, -1 absent, 0 only difficult instances.
    layers : {layer: (N, D) np.memmap}
        Read-only.
    ids_digest, labels_digest : str
        Equal if and only if ids and their order, or labels, are equal.
    """

    def __init__(self, path: Path, attributes: Mapping[str, Any], arrays: Mapping[str, StoredArray]) -> None:
        self.path = path
        self.dataset: str = attributes["dataset"]
        self.split: str = attributes["split"]
        self.model: str = attributes["model"]
        self.classes: tuple[str, ...] = tuple(json.loads(attributes["classes"]))
        self.ids_digest: str = attributes["ids_digest"]
        self.labels_digest: str = attributes["labels_digest"]
        self.arrays = arrays
        self.layers: dict[str, np.ndarray] = {
            name.removeprefix("layers/"): array.rows
            for name, array in arrays.items()
            if name.startswith("layers/")
        }
        self._keys = {name: FeatureKey.from_json(attributes[f"feature_key.{name}"]) for name in self.layers}

    @classmethod
    def open(cls, path: Path | str) -> FeatureFile:
        """Open a feature file.

        Raises
        ------
        UserError
            If it is not there, not a feature file, of another format version, cut short, or its header is
            damaged. Damage to the rows themselves is found by `verify_feature_file`.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                check_header(file, path)
                return cls._read(file, path)
        except FileNotFoundError:
            raise UserError(f"{path}: no such feature file", rerun="extract") from None
        except IsADirectoryError:
            raise UserError(f"{path}: a folder; give the .h5 file in it") from None

    @classmethod
    def _read(cls, file: BinaryIO, path: Path) -> FeatureFile:
        # through the descriptor: the file that was checked, even if another was renamed over it meanwhile
        with h5py.File(f"/dev/fd/{file.fileno()}", "r", locking=False) as h5:
            attributes = dict(h5.attrs)
            if attributes.get("format") != FORMAT:
                raise UserError(f"{path}: not a feature file", rerun="extract", force=True)
            names = ["ids", "digest", "labels", *(f"layers/{name}" for name in h5["layers"])]
            arrays = {}
            for name in names:
                sums = h5[f"checksums/{name}"]
                arrays[name] = StoredArray(
                    _mapped(file, h5[name], path), sums[...], int(sums.attrs["block_rows"])
                )
        return cls(path, attributes, arrays)

    def __len__(self) -> int:
        return len(self.arrays["ids"].rows)

    def __contains__(self, name: str) -> bool:
        """Whether there is an image of that id."""
        return name in self._row_of

    @functools.cached_property
    def ids(self) -> np.ndarray:
        """The (N,) ids."""
        raw = self._checked("ids")
        try:
            return raw.astype(np.str_)
        except UnicodeDecodeError:
            return np.char.decode(raw, "utf-8")

    @functools.cached_property
    def digests(self) -> np.ndarray:
        """The (N, 16) digests of the image files."""
        return self._checked("digest")

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """The (N, C) labels."""
        return self._checked("labels")

    def labels_of(self, row: int) -> tuple[str, ...]:
        """The classes that a row's image shows."""
        return tuple(self.classes[c] for c in np.flatnonzero(self.labels[row] == 1))

    def layer(self, name: str) -> np.ndarray:
        """The (N, D) memory map of a layer; `UserError` with the layers that there are."""
        if name not in self.layers:
            raise UserError(f"{self.path}: no layer {name}; it has {', '.join(self.layers)}")
        return self.layers[name]

    def rows(self, ids: Iterable[str] | str) -> np.ndarray:
        """The (n,) int64 row numbers of some ids, in their order; `UserError` for an id that is not there."""
        wanted = [ids] if isinstance(ids, str) else list(ids)
        for name in wanted:
            if name not in self._row_of:
                hint = did_you_mean(name, self.ids[:_CANDIDATES].tolist(), most=3)
                raise UserError(f"{self.path}: no image {name} in split {self.split}{hint}")
        return np.array([self._row_of[name] for name in wanted], dtype=np.int64)

    @functools.cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids.tolist())}

    def feature_key(self, layer: str) -> FeatureKey:
        """The key of a layer."""
        self.layer(layer)
        return self._keys[layer]

    def key(self, layer: str) -> dict[str, Any]:
        """The key of a layer, as it stands in the file."""
        key: dict[str, Any] = json.loads(self.feature_key(layer).json())
        return key

    def key_digest(self, layer: str) -> str:
        """The digest of a layer's key, in hexadecimal."""
        return self.feature_key(layer).hex

    def layer_digest(self, layer: str) -> str:
        """A digest of a layer's key and values, in hexadecimal; reads none of the values."""
        width = self.layer(layer).shape[1]
        return layer_digest(self._keys[layer], width, len(self), self.arrays[f"layers/{layer}"].checksums)

    def _checked(self, name: str) -> np.ndarray:
        array = self.arrays[name]
        if damaged := array.damaged_blocks():
            start, stop = damaged[0]
            problem = f"{self.path}: {name} of rows {start} to {stop - 1} are damaged"
            raise UserError(problem, rerun="extract", force=True)
        return array.rows


def _mapped(file: BinaryIO, dataset: h5py.Dataset, path: Path) -> np.ndarray:
    dtype = dataset.dtype.base if dataset.dtype.kind != "S" else np.dtype(f"S{dataset.dtype.itemsize}")
    if dataset.size == 0:
        return np.empty(dataset.shape, dtype)
    offset = dataset.id.get_offset()
    if offset is None or offset + dataset.nbytes > file.seek(0, 2):
        raise UserError(f"{path}: {dataset.name} is not stored in one piece", rerun="extract", force=True)
    return np.memmap(file, dtype, "r", offset, dataset.shape)
