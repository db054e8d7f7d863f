"""The manifest: what a split consists of, image by image."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files.csv_file import write_csv

_COLUMNS = ["id", "path", "digest", "width", "height"]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """One split of a data set, in the order of its split list.

    Attributes
    ----------
    ids : (N,) array of str
    paths : (N,) array of str
        Relative to `dataset.root`.
    digests : (N, 16) uint8
        BLAKE2b-128 of each file's bytes.
    sizes : (N, 2) int32
        Width and height in pixels, as stored (before EXIF rotation).
    labels : (N, C) int8
        1 present, -1 absent, 0 only difficult instances.
    classes : tuple of C str
    """

    dataset: str
    split: str
    classes: tuple[str, ...]
    ids: np.ndarray
    paths: np.ndarray
    digests: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Manifest:
        """The manifest of some rows (indices or a mask), in the given order."""
        columns = {name: getattr(self, name)[rows] for name in ("ids", "paths", "digests", "sizes", "labels")}
        return dataclasses.replace(self, **columns)


def image_paths(manifest: Manifest, root: Path | str) -> dict[str, Path]:
    """Where each image is: {id: path}."""
    return {str(name): Path(root, path) for name, path in zip(manifest.ids, manifest.paths, strict=True)}


def write_manifest(manifest: Manifest, path: Path | str) -> None:
    """Write `manifest` as CSV: one row an image, one column a class; the same bytes for the same content."""
    digests = (digest.tobytes().hex() for digest in manifest.digests)
    columns = zip(manifest.ids, manifest.paths, digests, manifest.sizes, manifest.labels, strict=True)
    rows = ([name, place, digest, *size, *labels] for name, place, digest, size, labels in columns)
    header = [*_COLUMNS, *manifest.classes]
    write_csv(path, ["#", manifest.dataset, manifest.split], [header, *rows])


def read_manifest(path: Path | str) -> Manifest:
    """Read what `write_manifest` wrote.

    Raises
    ------
    UserError
        If the file is missing or is no manifest.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        (_, dataset, split), header, *body = rows
        columns = list(zip(*body, strict=True)) or [()] * len(header)
        if header[: len(_COLUMNS)] != _COLUMNS:
            raise ValueError
        return Manifest(
            dataset=dataset,
            split=split,
            classes=tuple(header[len(_COLUMNS) :]),
            ids=np.array(columns[0], dtype=np.str_),
            paths=np.array(columns[1], dtype=np.str_),
            digests=np.frombuffer(bytes.fromhex("".join(columns[2])), np.uint8).reshape(-1, 16),
            sizes=np.array(columns[3:5], dtype=np.int32).reshape(2, len(body)).T,
            labels=np.array(columns[5:], np.int8).reshape(len(columns[5:]), len(body)).T.copy(),
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such manifest", rerun="dataset") from None
    except (ValueError, csv.Error):
        raise UserError(f"{path}: not a Pool5 manifest", rerun="dataset", force=True) from None
