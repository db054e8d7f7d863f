"""Images that a table names: `root/images.csv`, with their splits and labels where there are any."""

from __future__ import annotations

import csv
import re
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import UserError
from ..files.hints import did_you_mean
from ..params.sections import NAME, NAME_IN_WORDS
from .image_tree import draw_splits, short_ids
from .listing import Listing, refuse_duplicates

TABLE = "images.csv"
_OWN = ("path", "split", "id")  # every other column is a class
_LABELS = {"1": 1, "0": 0, "-1": -1, "": 0}


def list_table(root: Path, train: str, test: str, val: str | None = None) -> dict[str, Listing]:
    """Every split of the table.

    Its columns: `path`, from `root`; `split`, else splits are drawn; `id`, else the path without its suffix;
    and one a class, with 1 where an image shows it and -1 where not; 0 or nothing where that is not known. In
    a table without any -1, 0 says that it does not show it.

    Raises
    ------
    UserError
        One line that names the file, and the line or the split at fault.
    """
    table = root / TABLE
    columns, rows = _read(table)
    paths = [row["path"] for row in rows]
    short = short_ids(list(dict.fromkeys(paths)))
    ids = [row.get("id") or short[row["path"]] for row in rows]
    classes = tuple(name for name in columns if name not in _OWN)
    labels = _labels(table, classes, rows)
    listings = {}
    for split, numbers in _splits(table, rows, train, test, val).items():
        chosen = [ids[n] for n in numbers]
        refuse_duplicates(chosen, f"{table}: split {split}")
        listings[split] = Listing(
            split, classes, tuple(chosen), tuple(paths[n] for n in numbers), labels[numbers]
        )
    return listings


def class_columns(table: Path) -> list[str]:
    """The classes that a table has labels for."""
    return [name for name in _cells(table)[0] if name not in _OWN]


def _cells(table: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and each line's number and cells."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            return next(reader, []), [(reader.line_num, cells) for cells in reader if cells]
    except FileNotFoundError:
        raise UserError(f"{table}: no such file; a table with a column path belongs there") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: not a CSV file in UTF-8 ({error}); write it again") from None


def _read(table: Path) -> tuple[list[str], list[dict[str, str]]]:
    columns, found = _cells(table)
    if "path" not in columns:
        raise UserError(
            f"{table}: no column path{did_you_mean('path', columns)}; it has {', '.join(columns) or 'none'}"
        )
    if len(set(columns)) < len(columns) or "" in columns:
        raise UserError(f"{table}: a column without a name, or two of one name; rename them")
    if not found:
        raise UserError(f"{table}: names no images; add a line for each")
    for line, cells in found:
        if len(cells) != len(columns):
            raise UserError(f"{table}:{line}: {len(cells)} cells, and there are {len(columns)} columns")
    rows = [dict(zip(columns, (cell.strip() for cell in cells), strict=True)) for _, cells in found]
    for (line, _), row in zip(found, rows, strict=True):
        _check_row(row, f"{table}:{line}")
    return columns, rows


def _check_row(row: dict[str, str], where: str) -> None:
    path = PurePosixPath(row["path"])
    if not row["path"] or path.is_absolute() or ".." in path.parts or not row["path"].isprintable():
        raise UserError(f"{where}: {row['path']!r} is no path of an image from the table's folder")
    if not row.get("id", "").isprintable():
        raise UserError(f"{where}: {row['id']!r}: an id with characters that cannot be printed")
    if not re.match(NAME, row.get("split", "train")):
        raise UserError(f"{where}: {row['split']!r} is no name of a split; it has {NAME_IN_WORDS}")
    for name, value in row.items():
        if name not in _OWN and value not in _LABELS:
            raise UserError(f"{where}: {name} is {value!r}; allowed: 1, -1, 0, or nothing")


def _labels(table: Path, classes: tuple[str, ...], rows: list[dict[str, str]]) -> np.ndarray:
    """(N, C) int8"""
    meaning = dict(_LABELS)
    if not any(row[name] == "-1" for row in rows for name in classes):
        meaning["0"] = -1
    return np.array([[meaning[row[name]] for name in classes] for row in rows], np.int8).reshape(
        len(rows), len(classes)
    )


def _splits(
    table: Path, rows: list[dict[str, str]], train: str, test: str, val: str | None
) -> dict[str, list[int]]:
    """The rows of each split, in the table's order."""
    if "split" not in rows[0]:
        number_of = {row["path"]: number for number, row in enumerate(rows)}
        refuse_duplicates((row["path"] for row in rows), str(table))
        drawn = draw_splits([list(number_of)], train, test, val, table.parent)
        return {split: sorted(number_of[path] for path in paths) for split, paths in drawn.items()}
    splits: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        splits.setdefault(row["split"], []).append(number)
    for split in (train, test, val):
        if split and split not in splits:
            raise UserError(
                f"{table}: no image of split {split}{did_you_mean(split, splits)}; there are: "
                f"{', '.join(splits)}"
            )
    return splits
