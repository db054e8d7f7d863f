"""Writing a feature file: what stands in it, and which of its layers go into parts beside it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np

from ..errors import UserError
from ..files.atomic import atomic_write
from ..labels import Labels
from .block_writer import Table, lay_out
from .feature_key import FeatureKey
from .header import FEATURES, PARTED
from .layer_parts import Part
from .layer_shape import LayerShape
from .part_writer import is_long, remove_parts, write_parts
from .plain_hdf5 import check_names


@dataclasses.dataclass(frozen=True)
class FileHead:
    """What a feature file is about.

    Attributes
    ----------
    dataset, split, model : str
    classes : tuple of C str
    ids : (N,) array of str, all different
    digests : (N, 16) uint8
        BLAKE2b-128 of each image file's bytes.
    labels : Labels
        Of N images and C classes; an array becomes that.
    """

    dataset: str
    split: str
    model: str
    classes: tuple[str, ...]
    ids: np.ndarray
    digests: np.ndarray
    labels: Labels

    def __post_init__(self) -> None:
        if not isinstance(self.labels, Labels):
            object.__setattr__(self, "labels", Labels.dense(np.asarray(self.labels)))


@dataclasses.dataclass(frozen=True)
class LayerSource:
    """A layer to be written: its key, its width, where its rows come from, and what each is as an array.

    `rows(start, stop)` gives a (stop - start, width) array of the key's dtype. Several threads at once ask
    for those of a long layer.
    """

    key: FeatureKey
    width: int
    rows: Callable[[int, int], np.ndarray]
    shape: LayerShape | None = None


def write_feature_file(
    path: Path | str,
    *,
    dataset: str,
    split: str,
    model: str,
    classes: tuple[str, ...],
    ids: np.ndarray,
    digests: np.ndarray,
    labels: Labels,
    layers: Mapping[str, np.ndarray],
    keys: Mapping[str, FeatureKey],
    shapes: Mapping[str, LayerShape] | None = None,
) -> None:
    """Write a feature file from arrays in memory; whole or not at all.

    Parameters
    ----------
    ids : (N,) array of str
    digests : (N, 16) uint8
    labels : Labels, or (N, C) int8
    layers : {layer: (N, D) array of its key's dtype}
    keys : {layer: FeatureKey}
    shapes : {layer: LayerShape}, optional
        Of those layers where it is known.

    Raises
    ------
    UserError
        If an id occurs twice.
    ValueError
        If shapes or dtypes do not go together, or a name is none that params.yaml would take.
    """
    head = FileHead(dataset, split, model, tuple(classes), np.asarray(ids), np.asarray(digests), labels)
    for name, array in layers.items():
        if array.shape[:1] != head.ids.shape or array.dtype != np.dtype(keys[name].dtype):
            raise ValueError(
                f"layer {name}: {array.dtype} {array.shape}, {len(head.ids)} ids, key of {keys[name].dtype}"
            )
    stream_feature_file(
        path,
        head,
        {name: _source_of(array, keys[name], (shapes or {}).get(name)) for name, array in layers.items()},
    )


def _source_of(array: np.ndarray, key: FeatureKey, shape: LayerShape | None) -> LayerSource:
    return LayerSource(key, array.shape[1], lambda start, stop: array[start:stop], shape)


def stream_feature_file(path: Path | str, head: FileHead, layers: Mapping[str, LayerSource]) -> None:
    """Write a feature file from sources that give some rows at a time; whole or not at all.

    A layer that has more than `PART_BYTES` is written in parts beside it. The space is taken before the
    first row is asked for, so a full disk is known at once. Memory stays within a few times 16 MiB, for
    each part at work, however many rows there are. The bytes depend on the content alone.
    """
    path = Path(path)
    check_names(dataset=head.dataset, split=head.split, model=head.model)
    for name in layers:
        check_names(layer=name)
    ids = _encoded_ids(head)
    tables, attributes = _tables(head, ids), _attributes(head, ids, layers)
    long = {}
    for name in sorted(layers):
        layer = layers[name]
        table = Table(np.dtype(layer.key.dtype), (len(ids), layer.width), layer.rows)
        if is_long(table):
            long[name] = Part(head.model, head.split, name, layer.key.json(), 0), table
        else:
            tables[f"layers/{name}"] = table
    parts = write_parts(path, long) if long else {}
    joined = {f"layers/{name}": each for name, each in parts.items()}
    kind = PARTED if joined else FEATURES
    with atomic_write(path) as temporary:
        lay_out(temporary, kind, attributes, tables, joined=joined, groups=["layers"]).fill()
    remove_parts(path, {part for each in joined.values() for part, _ in each.parts})


def _encoded_ids(head: FileHead) -> np.ndarray:
    all_ids = [name.encode() for name in head.ids.tolist()]
    if len(set(all_ids)) != len(all_ids):
        seen: set[bytes] = set()
        twice = next(name for name in all_ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise UserError(f"split {head.split}: id {twice.decode()} occurs twice; name each image once")
    encoded = np.array(all_ids, np.bytes_)
    return encoded if encoded.dtype.itemsize else encoded.astype("S1")


def _tables(head: FileHead, ids: np.ndarray) -> dict[str, Table]:
    """What stands in the file beside the layers."""
    n = len(ids)
    labels, digests = head.labels, np.asarray(head.digests, np.uint8)
    if labels.shape != (n, len(head.classes)) or digests.shape != (n, 16):
        raise ValueError(
            f"{n} ids, {len(head.classes)} classes, labels {labels.shape}, digests {digests.shape}"
        )
    return {
        "ids": Table(h5py.string_dtype("utf-8", ids.dtype.itemsize), (n,), lambda i, j: ids[i:j]),
        "digest": Table(np.dtype(np.uint8), digests.shape, lambda i, j: digests[i:j]),
        "labels": Table(np.dtype(np.int8), labels.shape, lambda i, j: np.asarray(labels[i:j])),
    }


def _attributes(head: FileHead, ids: np.ndarray, layers: Mapping[str, LayerSource]) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "classes": json.dumps(list(head.classes), ensure_ascii=False),
        "dataset": head.dataset,
        "ids_digest": ids_digest(ids),
        "labels_digest": labels_digest(head.labels.shape, head.labels.blocks()),
        "model": head.model,
        "split": head.split,
    }
    for name, layer in layers.items():
        shape = layer.shape or LayerShape((layer.width,))
        shape.check_fits(layer.width, layer.key.pool)
        attributes |= {f"feature_key.{name}": layer.key.json(), f"shape.{name}": shape.json()}
    return attributes


def ids_digest(ids: np.ndarray) -> str:
    """A digest of the ids and their order; `ids` is an (N,) array of bytes."""
    return hashlib.sha256(b"\n".join(ids.tolist())).hexdigest()[:32]


def labels_digest(shape: tuple[int, int], blocks: Iterable[np.ndarray]) -> str:
    """A digest of an (N, C) int8 array of labels, which comes some rows at a time."""
    digest = hashlib.sha256(np.array(shape, "<i8").tobytes())
    for block in blocks:
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()[:32]


def layer_digest(key: FeatureKey, width: int, length: int, checksums: np.ndarray) -> str:
    """A digest of a layer's key and values, from the checksums of its blocks."""
    about = f"{key.hex} {length} {width}\n".encode()
    return hashlib.sha256(about + checksums.tobytes()).hexdigest()[:32]
