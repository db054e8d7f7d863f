"""The HDF5 file with a probe's logits on one split, in which every row can be named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import UserError
from ..files.atomic import atomic_write

FORMAT = "pool5-logits"
FORMAT_VERSION = 1


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
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "of": content.of,
        "split": content.split,
    }
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        for name, value in sorted(attributes.items()):
            file.attrs[name] = value
        ids = np.char.encode(content.ids.astype(np.str_), "utf-8")
        text = h5py.string_dtype("utf-8", max(ids.dtype.itemsize, 1))
        file.create_dataset("ids", data=ids.astype(text))
        file.create_dataset("labels", data=content.labels.astype(np.int8))
        file.create_dataset("logits", data=content.logits.astype(np.float32))


def read_logits(path: Path | str) -> LogitsFile:
    """Read what `write_logits` wrote.

    Raises
    ------
    UserError
        If the file is missing, damaged, or no logits file of this version.
    """
    path = Path(path)
    again: dict[str, Any] = {"rerun": "probe", "force": True}
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise UserError(f"{path}: not a logits file", **again)
            if (version := int(file.attrs["format_version"])) != FORMAT_VERSION:
                problem = f"{path}: format version {version}, this program reads {FORMAT_VERSION}"
                raise UserError(problem, **again)
            return LogitsFile(
                of=str(file.attrs["of"]),
                split=str(file.attrs["split"]),
                key=json.loads(file.attrs["feature_key"]),
                classes=tuple(json.loads(file.attrs["classes"])),
                ids=np.char.decode(file["ids"][...].astype(np.bytes_), "utf-8"),
                labels=file["labels"][...],
                logits=file["logits"][...],
            )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file", rerun="probe") from None
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: damaged ({error})", **again) from None
