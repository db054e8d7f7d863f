"""The published features of one model on one split: opened in milliseconds, read as memory maps."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import msgspec
import numpy as np

from ..errors import NotThere, UserError
from ..files.hints import did_you_mean
from .checksums import CHECKSUM_BYTES, block_checksums, rows_per_block
from .feature_key import FeatureKey
from .feature_writer import ids_digest, labels_digest, layer_digest, write_feature_file
from .header import FEATURES, PARTED, Ranges, check_header, check_places
from .layer_parts import Part, is_joined, map_parts
from .layer_shape import LayerShape
from .plain_hdf5 import (
    Spec,
    check_exactly,
    check_names,
    check_text,
    open_hdf5,
    plain_attribute,
    plain_attributes,
    plain_datasets,
    plain_map,
    text_dtype,
    told_in_a_line,
)

__all__ = ["FeatureFile", "write_feature_file"]

_ATTRIBUTES = frozenset(
    ["format", "format_version", "dataset", "split", "model", "classes", "ids_digest", "labels_digest"]
)
# by the version of the format
_OF_A_LAYER = {1: ("feature_key",), 2: ("feature_key", "shape"), 3: ("feature_key", "shape")}
_BLOCK = 1 << 14  # rows of labels that are looked at at once
_CANDIDATES = 20_000  # ids that a mistyped one is compared with


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """A dataset of the file: a map of its rows, and the checksum of each block of rows.

    Attributes
    ----------
    rows : (N, …) array
        A read-only memory map, also of what is in parts; nothing is read before it is touched.
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
    stage : str
        Which writes it.
    dataset, split, model : str
        The model, or the derived layer.
    classes : tuple of C str
    ids : (N,) array of str
    digests : (N, 16) uint8
        BLAKE2b-128 of each image file's bytes.
    labels : (N, C) int8
        1 present, -1 absent, 0 only difficult instances.
    layers : {layer: (N, D) array}
        Read-only memory maps.
    ids_digest, labels_digest : str
        Equal if and only if ids and their order, or labels, are equal.
    """

    def __init__(
        self,
        path: Path,
        attributes: Mapping[str, Any],
        arrays: Mapping[str, StoredArray],
        stage: str = FEATURES.stage,
    ) -> None:
        self.path, self.stage = path, stage
        self.dataset: str = attributes["dataset"]
        self.split: str = attributes["split"]
        self.model: str = attributes["model"]
        self.classes = _classes(attributes)
        self.ids_digest: str = attributes["ids_digest"]
        self.labels_digest: str = attributes["labels_digest"]
        self.arrays = arrays
        self.layers: dict[str, np.ndarray] = {
            name.removeprefix("layers/"): array.rows
            for name, array in arrays.items()
            if name.startswith("layers/")
        }
        self._keys = {name: FeatureKey.from_json(attributes[f"feature_key.{name}"]) for name in self.layers}
        self._shapes = {
            name: LayerShape.from_json(attributes[f"shape.{name}"])
            for name in self.layers
            if f"shape.{name}" in attributes
        }
        for name, shape in self._shapes.items():
            shape.check_fits(self.layers[name].shape[1], self._keys[name].pool)

    @classmethod
    def open(cls, path: Path | str, stage: str = FEATURES.stage) -> FeatureFile:
        """Open a feature file, which `stage` writes.

        Raises
        ------
        UserError
            If it is not there, of another format or version, cut short, its header is damaged, or anything
            in it is not as the format says. Damage to the rows themselves is found by `verify_feature_file`.
        """
        path = Path(path)
        with told_in_a_line(path, stage, FEATURES.called), path.open("rb") as file:
            version, head = check_header(file, path, dataclasses.replace(PARTED, stage=stage))
            with open_hdf5(file) as h5:
                attributes = plain_attributes(h5)
                if (attributes.get("format"), attributes.get("format_version")) != (FEATURES.format, version):
                    raise ValueError("its attributes are of another format")
                return cls(path, attributes, _arrays(path.parent, file, h5, attributes, head), stage)

    def __len__(self) -> int:
        return len(self.arrays["ids"].rows)

    def __contains__(self, name: str) -> bool:
        """Whether there is an image of that id."""
        return name in self._row_of

    @functools.cached_property
    def ids(self) -> np.ndarray:
        """The (N,) ids."""
        raw = self._checked("ids")
        with told_in_a_line(self.path, self.stage, FEATURES.called):
            if ids_digest(raw) != self.ids_digest:
                raise ValueError("the digest of the ids is another one")
            check_text(b"".join(raw.tolist()).decode(), "an id")
            try:
                return np.asarray(raw).astype(np.str_)  # no np.memmap, which pays for being one at every item
            except UnicodeDecodeError:
                return np.char.decode(raw, "utf-8")

    @functools.cached_property
    def digests(self) -> np.ndarray:
        """The (N, 16) digests of the image files."""
        return self._checked("digest")

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """The (N, C) labels, a map of the file."""
        labels = self._checked("labels")
        blocks = [labels[at : at + _BLOCK] for at in range(0, len(labels), _BLOCK)]
        with told_in_a_line(self.path, self.stage, FEATURES.called):
            another = labels_digest(labels.shape, blocks) != self.labels_digest
            if another or any((abs(block) > 1).any() for block in blocks):
                raise ValueError("the digest of the labels is another one, or a label is none of -1, 0, 1")
        return np.asarray(labels)  # a plain view, as above

    def labels_of(self, row: int) -> tuple[str, ...]:
        """The classes that a row's image shows."""
        return tuple(self.classes[c] for c in np.flatnonzero(self.labels[row] == 1).tolist())

    def layer(self, name: str) -> np.ndarray:
        """The (N, D) memory map of a layer; `UserError` with the layers that there are."""
        if name not in self.layers:
            raise UserError(f"{self.path}: no layer {name}; it has {', '.join(self.layers)}")
        return self.layers[name]

    def shape(self, layer: str) -> LayerShape | None:
        """What a row of a layer is, seen as an array; None in files of version 1, which do not say."""
        self.layer(layer)
        return self._shapes.get(layer)

    def rows(self, ids: Iterable[str] | str) -> np.ndarray:
        """The (n,) int64 row numbers of some ids, in their order; `UserError` for an id that is not there."""
        wanted = [ids] if isinstance(ids, str) else list(ids)
        for name in wanted:
            if name not in self._row_of:
                hint = did_you_mean(name, self.ids[:_CANDIDATES].tolist(), most=3)
                raise NotThere(f"{self.path}: no image {name} in split {self.split}{hint}")
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
            raise UserError(problem, rerun=self.stage, force=True)
        return array.rows


def _classes(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    classes = msgspec.json.decode(attributes["classes"], type=tuple[str, ...])
    if len(set(classes)) < len(classes):
        raise ValueError("two classes have one name")
    check_text("".join(classes), "a class")
    return classes


def _arrays(
    folder: Path, file: BinaryIO, h5: h5py.File, attributes: Mapping[str, Any], head: Ranges
) -> dict[str, StoredArray]:
    """The file's datasets, each exactly as the format says; `ValueError` if one is not."""
    version = attributes["format_version"]
    found = plain_datasets(h5, virtual="layers/" if version == PARTED.version else None)
    if version == PARTED.version and not any(map(is_joined, found.values())):
        raise ValueError("no layer is in parts")
    layers = sorted(name.removeprefix("layers/") for name in found if name.startswith("layers/"))
    of_layers = {f"{what}.{name}" for what in _OF_A_LAYER[version] for name in layers}
    check_exactly(attributes, {*_ATTRIBUTES, *of_layers}, "the attribute")
    check_names(**{name: attributes[name] for name in ("dataset", "split", "model")})
    specified = _specified(found, layers, attributes)
    check_exactly(found, {*specified, *(f"checksums/{name}" for name in specified)}, "the dataset")
    arrays = {}
    for name, (dtype, shape) in specified.items():
        per_block = rows_per_block(dtype.itemsize * math.prod(shape[1:]))
        sums = found[f"checksums/{name}"]
        if plain_attribute(sums, "block_rows") != per_block:
            raise ValueError(f"checksums/{name} are not of blocks of {per_block} rows")
        blocks = plain_map(file, sums, np.dtype(np.uint8), (-(-shape[0] // per_block), CHECKSUM_BYTES))
        checksums = np.array(blocks)
        if is_joined(found[name]):
            whole = _first_part(name.removeprefix("layers/"), attributes)
            rows = map_parts(folder, found[name], dtype, shape, whole, checksums)
        else:
            rows = plain_map(file, found[name], dtype, shape)
        arrays[name] = StoredArray(rows, checksums, per_block)
    check_places(head, (array.rows for array in arrays.values()), h5.userblock_size)
    return arrays


def _first_part(layer: str, attributes: Mapping[str, Any]) -> Part:
    return Part(attributes["model"], attributes["split"], layer, attributes[f"feature_key.{layer}"], 0)


def _specified(
    found: Mapping[str, h5py.Dataset], layers: list[str], attributes: Mapping[str, Any]
) -> dict[str, Spec]:
    """The dtype and shape that each dataset has to have; only the width of a layer is its own."""
    (length,) = found["ids"].id.shape
    specified: dict[str, Spec] = {
        "ids": (text_dtype(found["ids"]), (length,)),
        "digest": (np.dtype(np.uint8), (length, 16)),
        "labels": (np.dtype(np.int8), (length, len(_classes(attributes)))),
    }
    for name in layers:
        check_names(layer=name)
        key = FeatureKey.from_json(attributes[f"feature_key.{name}"])
        _, width = found[f"layers/{name}"].id.shape
        specified[f"layers/{name}"] = np.dtype(key.dtype), (length, width)
    return specified
