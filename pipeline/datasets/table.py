"""Images that a table names: `root/images.csv`, with their splits and labels where there are any."""

from __future__ import annotations

import csv
import dataclasses
import re
from array import array
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import UserError
from ..files.hints import did_you_mean
from ..labels import Labels
from ..params import Dataset
from ..params.sections import NAME, NAME_IN_WORDS
from .image_tree import draw_splits, short_ids
from .listing import Listing, can_be_written, refuse_duplicates
from .tree import Tree

TABLE = "images.csv"
_OWN = ("path", "split", "id")  # every other column is a class
_ZERO = 2  # as long as it is not known whether 0 says that a class is absent
_LABELS = {"1": 1, "0": _ZERO, "-1": -1, "": 0}


@dataclasses.dataclass
class _Table:
    """What a table says of its N images: cells of its own columns, and (N, C) int8."""

    classes: tuple[str, ...]
    paths: list[str]
    splits: list[str]
    ids: list[str]
    labels: np.ndarray


def list_table(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
    """Every split of the table.

    Its columns: `path`, from `root`; `split`, else splits are drawn; `id`, else the path without its suffix;
    and one a class, with 1 where an image shows it and -1 where not; 0 or nothing where that is not known. In
    a table without any -1, 0 says that it does not show it.

    Raises
    ------
    UserError
        One line that names the file, and the line or the split at fault.
    """
    file = Path(tree.root) / TABLE
    table = _read(file)
    short = short_ids(list(dict.fromkeys(table.paths)))
    ids = [name or short[path] for name, path in zip(table.ids, table.paths, strict=True)]
    table.labels[table.labels == _ZERO] = 0 if (table.labels == -1).any() else -1
    listings = {}
    for split, numbers in _splits(file, table, dataset, also).items():
        chosen = [ids[n] for n in numbers]
        refuse_duplicates(chosen, f"{file}: split {split}")
        paths = tuple(table.paths[n] for n in numbers)
        listings[split] = Listing(
            split, table.classes, tuple(chosen), paths, Labels.dense(table.labels[numbers])
        )
    return listings


def class_columns(table: Path) -> list[str]:
    """The classes that a table has labels for."""
    return [name for name in next(_lines(table), (1, []))[1] if name not in _OWN]


def _lines(table: Path) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each line that has any, the header first."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            yield from ((reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells)
    except FileNotFoundError:
        raise UserError(f"{table}: no such file; a table with a column path belongs there") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: not a CSV file in UTF-8 ({error}); write it again") from None


def _read(table: Path) -> _Table:
    lines = _lines(table)
    _, columns = next(lines, (1, []))
    if "path" not in columns:
        raise UserError(
            f"{table}: no column path{did_you_mean('path', columns)}; it has {', '.join(columns) or 'none'}"
        )
    if len(set(columns)) < len(columns) or "" in columns:
        raise UserError(f"{table}: a column without a name, or two of one name; rename them")
    places = [place for place, name in enumerate(columns) if name not in _OWN]
    classes = tuple(columns[place] for place in places)
    own: dict[str, list[str]] = {name: [] for name in _OWN}
    labels = array("b")  # a byte a cell: there may be millions
    for line, cells in lines:
        if len(cells) != len(columns):
            raise UserError(f"{table}:{line}: {len(cells)} cells, and there are {len(columns)} columns")
        row = {name: cells[columns.index(name)] for name in _OWN if name in columns}
        _check_row(row, f"{table}:{line}")
        for name, found in own.items():
            found.append(row.get(name, ""))
        try:
            labels.extend([_LABELS[cells[place]] for place in places])
        except KeyError as error:
            name = next(columns[place] for place in places if cells[place] not in _LABELS)
            raise UserError(f"{table}:{line}: {name} is {error}; allowed: 1, -1, 0, or nothing") from None
    if not own["path"]:
        raise UserError(f"{table}: names no images; add a line for each")
    values = np.frombuffer(labels, np.int8).reshape(len(own["path"]), len(classes))
    return _Table(classes, own["path"], own["split"], own["id"], values)


def _check_row(row: dict[str, str], where: str) -> None:
    path = PurePosixPath(row["path"])
    if not row["path"] or path.is_absolute() or ".." in path.parts or not can_be_written(row["path"]):
        raise UserError(f"{where}: {row['path']!r} is no path of an image from the table's folder")
    if not can_be_written(row.get("id", "")):
        raise UserError(f"{where}: {row['id']!r}: an id with control characters")
    if not re.match(NAME, row.get("split", "train")):
        raise UserError(f"{where}: {row['split']!r} is no name of a split; it has {NAME_IN_WORDS}")


def _splits(file: Path, table: _Table, dataset: Dataset, also: Collection[str]) -> dict[str, list[int]]:
    """The rows of each split, in the table's order."""
    if not any(table.splits):
        number_of = {path: number for number, path in enumerate(table.paths)}
        refuse_duplicates(table.paths, str(file))
        drawn = draw_splits([list(number_of)], dataset, file.parent)
        return {split: sorted(number_of[path] for path in paths) for split, paths in drawn.items()}
    splits: dict[str, list[int]] = {}
    for number, split in enumerate(table.splits):
        splits.setdefault(split, []).append(number)
    for split in dataset.splits(also):
        if split not in splits:
            raise UserError(
                f"{file}: no image of split {split}{did_you_mean(split, splits)}; there are: "
                f"{', '.join(splits)}"
            )
    return splits
