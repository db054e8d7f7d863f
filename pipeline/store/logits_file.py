"""The HDF5 file with a probe's logits on one split, in which every row can be named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import msgspec
import numpy as np

from .header import Kind
from .plain_hdf5 import (
    Spec,
    check_exactly,
    check_names,
    check_text,
    open_hdf5,
    plain_attributes,
    plain_datasets,
    plain_map,
    text_dtype,
    told_in_a_line,
)
from .sealed_file import SealedFile, write_sealed

KIND = Kind("pool5-logits", 2, "logits file", "probe")
_ATTRIBUTES = {"classes", "feature_key", "of", "split"}
_OF_HDF5 = b"\x89HDF\r\n\x1a\n"  # what files of version 1 begin with: they have no header, and no digests


@dataclasses.dataclass(frozen=True)
class LogitsFile:
    """What a classifier says about every image of a split.

    Attributes
    ----------
    of : str
        `<model>/<layer>` that the classifier reads.
    split : str
    key : dict
        The feature key of that layer: what decided the features' values.
    classes : tuple of C str
    ids : (N,) array of str
    labels : (N, C) int8
        1 present, -1 absent, 0 only difficult instances.
    logits : (N, C) float32
        Higher means more likely present.
    """

    of: str
    split: str
    key: dict[str, Any]
    classes: tuple[str, ...]
    ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray


def write_logits(path: Path | str, content: LogitsFile) -> None:
    """Write `content` as HDF5 with contiguous datasets; the same bytes for the same content."""
    attributes = {
        "classes": json.dumps(content.classes),
        "feature_key": json.dumps(content.key, sort_keys=True),
        "of": content.of,
        "split": content.split,
    }
    ids = np.char.encode(content.ids.astype(np.str_), "utf-8")
    arrays = {
        "ids": ids.astype(h5py.string_dtype("utf-8", max(ids.dtype.itemsize, 1))),
        "labels": content.labels.astype(np.int8),
        "logits": content.logits.astype(np.float32),
    }
    write_sealed(path, KIND, attributes, arrays.items(), len(arrays))


def read_logits(path: Path | str) -> LogitsFile:
    """Read what `write_logits` wrote.

    Raises
    ------
    UserError
        If the file is missing, damaged, or no logits file of a version that there has been.
    """
    path = Path(path)
    with told_in_a_line(path, KIND.stage, KIND.called):
        with path.open("rb") as file:
            if file.read(len(_OF_HDF5)) == _OF_HDF5:
                return _content(*_version_1(file))
        sealed = SealedFile.open(path, KIND, _specify)
        return _content(sealed.attributes, {name: sealed.read(name) for name in sealed.arrays})


def _version_1(file: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with open_hdf5(file) as h5:
        attributes, found = plain_attributes(h5), plain_datasets(h5)
        if (attributes.pop("format", None), attributes.pop("format_version", None)) != (KIND.format, 1):
            raise ValueError(f"not a {KIND.called} of version 1")
        specified = _specify(attributes, found)
        check_exactly(found, set(specified), "the dataset")
        return attributes, {name: plain_map(file, found[name], *spec) for name, spec in specified.items()}


def _specify(attributes: dict[str, Any], found: Mapping[str, h5py.Dataset]) -> dict[str, Spec]:
    check_exactly(attributes, _ATTRIBUTES, "the attribute")
    (length,) = found["ids"].id.shape
    shape = length, len(msgspec.json.decode(attributes["classes"], type=tuple[str, ...]))
    return {
        "ids": (text_dtype(found["ids"]), (length,)),
        "labels": (np.dtype(np.int8), shape),
        "logits": (np.dtype(np.float32), shape),
    }


def _content(attributes: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> LogitsFile:
    model, _, layer = attributes["of"].partition("/")
    check_names(model=model, layer=layer, split=attributes["split"])
    classes = tuple(json.loads(attributes["classes"]))
    ids = np.char.decode(arrays["ids"], "utf-8")
    check_text("".join([*classes, *ids]), "a name")
    if np.any(np.abs(arrays["labels"]) > 1):
        raise ValueError("a label is none of -1, 0, 1")
    key = msgspec.json.decode(attributes["feature_key"], type=dict[str, Any])
    labels, logits = np.array(arrays["labels"]), np.array(arrays["logits"])
    return LogitsFile(attributes["of"], attributes["split"], key, classes, ids, labels, logits)
