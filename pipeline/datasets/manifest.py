"""The manifest: what a split consists of, image by image."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files.atomic import write_text
from ..files.csv_file import csv_text
from .address import Address

_COLUMNS = ["id", "path", "digest", "width", "height"]
_TEXT = {-1: "-1", 0: "0", 1: "1"}


@dataclasses.dataclass(frozen=True)
class Manifest:
    """One split of a data set, in the order of its split list.

    Attributes
    ----------
    ids : (N,) array of str
    paths : (N,) array of str
        Addresses from `dataset.root`.
    digests : (N, 16) uint8
        BLAKE2b-128 of each file's bytes.
    sizes : (N, 2) int32
        Width and height in pixels, as stored (before EXIF rotation).
    labels : (N, C) int8
        1 present, -1 absent, 0 only difficult instances.
    classes : tuple of C str
    """

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


def image_addresses(manifest: Manifest, root: Path | str) -> dict[str, Address]:
    """Where each image is: {id: address}."""
    pairs = zip(manifest.ids.tolist(), manifest.paths.tolist(), strict=True)
    return {name: Address.parse(path, root) for name, path in pairs}


def write_manifest(manifest: Manifest, path: Path | str) -> None:
    """Write `manifest` as CSV: one row an image, one column a class; the same bytes for the same content.

    The first line names the split and has the SHA-256 of all that follows it.
    """
    digests = (digest.tobytes().hex() for digest in manifest.digests)
    columns = zip(manifest.ids, manifest.paths, digests, manifest.sizes, manifest.labels, strict=True)
    rows = (
        [name, place, digest, *size, *map(_TEXT.__getitem__, labels.tolist())]
        for name, place, digest, size, labels in columns
    )
    body = csv_text([*_COLUMNS, *manifest.classes], rows, exact=True)
    write_text(
        path,
        csv_text(["#", manifest.split, hashlib.sha256(body.encode()).hexdigest()], [], exact=True) + body,
    )


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
            _, split, written = next(csv.reader([next(file)]))
            lines = _hashed(file, digest := hashlib.sha256())
            header = next(csv.reader([next(lines)]))
            if header[: len(_COLUMNS)] != _COLUMNS:
                raise ValueError
            classes = tuple(header[len(_COLUMNS) :])
            heads, labels = [], bytearray()
            for line in lines:
                head, values = _cut(line.rstrip("\n"), len(classes))
                heads.append(head)
                labels += values.tobytes()
        if digest.hexdigest() != written:
            raise ValueError
        rows = list(csv.reader(heads, strict=True))
        columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
        ids, paths, digests, *sizes = columns
        return Manifest(
            split=split,
            classes=classes,
            ids=np.array(ids, dtype=np.str_),
            paths=np.array(paths, dtype=np.str_),
            digests=np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(-1, 16),
            sizes=np.array(sizes, dtype=np.int32).reshape(2, len(rows)).T,
            labels=np.frombuffer(labels, np.int8).reshape(len(rows), len(classes)),
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such manifest", rerun="dataset") from None
    except (ValueError, csv.Error, StopIteration):
        raise UserError(
            f"{path}: not a Pool5 manifest, or changed since it was written", rerun="dataset", force=True
        ) from None


def _hashed(lines: Iterator[str], digest: hashlib._Hash) -> Iterator[str]:
    for line in lines:
        digest.update(line.encode())
        yield line


def _cut(line: str, classes: int) -> tuple[str, np.ndarray]:
    """A line's first cells, and its labels: twenty million of them are read in a second, not in twenty.

    With one character for -1 the labels are the line's end, of two characters each.
    """
    short = line.replace(",-1", ",/")
    start = len(short) - 2 * classes
    cells = np.frombuffer(short[start:].encode(), np.uint8) if start > 0 else np.empty(0, np.uint8)
    values = cells[1::2].astype(np.int8) - ord("0")
    if len(values) != classes or (cells[::2] != ord(",")).any() or (abs(values) > 1).any():
        raise ValueError(line)
    return line[: len(line) - 2 * classes - np.count_nonzero(values < 0)], values
