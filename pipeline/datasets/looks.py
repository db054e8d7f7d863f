"""What the pictures of a data set look like: data/manifest/looks.csv, by split and id.

A row a picture, also where a row of a split is an object on one. Width and height are those of the upright
picture; the other columns are `images.looks.Looks`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files.atomic import atomic_write
from ..files.csv_file import csv_text
from ..images.looks import Looks
from .image_facts import Facts
from .manifest import TEXT, Manifest

_NAMES = ["split", "id"]
_NUMBERS = ["width", "height", "aspect", *Looks._fields]
_BLOCK = 1 << 16  # rows that are text at a time


@dataclasses.dataclass(frozen=True)
class PictureLooks:
    """Some pictures.

    Attributes
    ----------
    splits, ids : (N,) arrays of str, of numpy's StringDType
    columns : {name: (N,) float64}
        Those of the file that hold numbers.
    """

    splits: np.ndarray
    ids: np.ndarray
    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> PictureLooks:
        """Some rows (indices or a mask)."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return PictureLooks(self.splits[rows], self.ids[rows], columns)


def write_looks(path: Path | str, manifests: Iterable[Manifest], facts: Facts) -> None:
    """Write a row an image of each split; the same bytes for the same content."""
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(csv_text([*_NAMES, *_NUMBERS], [], exact=True))
        for manifest in manifests:
            for text in _blocks(manifest, facts):
                file.write(text)


def _blocks(manifest: Manifest, facts: Facts) -> Iterator[str]:
    for start in range(0, len(manifest), _BLOCK):
        part = slice(start, start + _BLOCK)
        ids = manifest.ids[part].tolist()
        found = facts.table[facts.rows(manifest.paths[part].tolist())]
        sizes = np.where(found["turned"][:, None], found["size"][:, ::-1], found["size"])
        looks = (found[name].tolist() for name in Looks._fields)
        first, *rows = (
            [manifest.split, name, width, height, f"{width / height:.4f}"]
            + [f"{value:.4f}" if isinstance(value, float) else value for value in values]
            for name, (width, height), *values in zip(ids, sizes.tolist(), *looks, strict=True)
        )
        yield csv_text(first, rows, exact=True)


def read_looks(path: Path | str) -> PictureLooks:
    """Read what `write_looks` wrote; `UserError` if it is not there or is none."""
    import pyarrow as pa
    import pyarrow.csv

    kinds = dict.fromkeys(_NAMES, pa.string()) | dict.fromkeys(_NUMBERS, pa.float64())
    try:
        table = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=kinds))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file", rerun="dataset") from None
    except pa.ArrowInvalid:
        table = pa.table({})
    if table.column_names != [*_NAMES, *_NUMBERS]:
        raise UserError(f"{path}: not what pictures look like", rerun="dataset", force=True)
    splits, ids = (np.array(table[name].to_pylist(), TEXT) for name in _NAMES)
    return PictureLooks(splits, ids, {name: table[name].to_numpy() for name in _NUMBERS})
