"""The rows of all tables of a data set, and the splits that they make up."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import UserError
from ...files.hints import counted, did_you_mean, some_of
from ...labels import Labels
from ...params import Dataset
from ...params.sections import NAME, NAME_IN_WORDS
from ..dataset_files import TABLE, TABLES, files_by_split, shards_in, split_by_name
from ..drawing import splits_to_list
from ..listing import UNSPLIT, Listing, refuse_duplicates
from ..tree import Tree
from .table_file import Batch, TableFile, as_text
from .table_formats import open_table
from .table_images import addresses_of, ids_of, names_of
from .table_labels import ClassColumns, NamedLabels


@dataclasses.dataclass(frozen=True)
class TableRows:
    """What tables say of N images.

    Attributes
    ----------
    where : str
        The tables, for messages.
    paths, ids : N str
    numbers : {split: (n,) int64}
        Its rows; empty where the tables do not say which image is in which split.
    """

    where: str
    classes: tuple[str, ...]
    labels: Labels
    paths: pa.Array
    ids: pa.Array
    numbers: dict[str, np.ndarray]
    remarks: tuple[str, ...]

    def listings(self, dataset: Dataset, also: Collection[str], root: str) -> dict[str, Listing]:
        """A listing a split, in the tables' order; where they do not say, splits are drawn."""
        listings = {}
        for split, numbers in (self._named(dataset, also) or self._unsplit()).items():
            ids, paths = self.ids.take(numbers), self.paths.take(numbers)
            if pc.count_distinct(ids).as_py() < len(ids):
                refuse_duplicates(ids.to_pylist(), f"{self.where}: split {split}")
            listings[split] = Listing(
                split,
                self.classes,
                tuple(ids.to_pylist()),
                tuple(paths.to_pylist()),
                self.labels[numbers],
                remarks=self.remarks,
            )
        return listings

    def _named(self, dataset: Dataset, also: Collection[str]) -> dict[str, np.ndarray]:
        needed = splits_to_list(dataset, also, self.numbers)
        for split in needed if self.numbers and not dataset.lists else ():
            if split not in self.numbers:
                raise UserError(
                    f"{self.where}: no image of split {split}{did_you_mean(split, self.numbers)}; there are: "
                    f"{', '.join(self.numbers)}"
                )
        return self.numbers

    def _unsplit(self) -> dict[str, np.ndarray]:
        if pc.count_distinct(self.paths).as_py() < len(self.paths):
            refuse_duplicates(self.paths.to_pylist(), self.where)
        return {UNSPLIT: np.arange(len(self.paths))}


def read_tables(tree: Tree, dataset: Dataset, also: Collection[str]) -> TableRows:
    """Read the tables of a data set.

    Raises
    ------
    UserError
        One line that names the file and the line at fault.
    """
    reader = _Reader(dataset)
    for split, paths in _files(tree, dataset, also).items():
        for path in paths:
            reader.read(open_table(tree, path), split)
    return reader.rows()


def _files(tree: Tree, dataset: Dataset, also: Collection[str]) -> dict[str | None, list[str]]:
    if dataset.files is not None:
        return files_by_split(tree, dataset, also)
    there = [name for name in TABLES if _is_there(tree, name)]
    if len(there) > 1:
        raise UserError(f"{tree.root}: more than one table: {', '.join(there)}; name one in dataset.files")
    if there:
        return {None: there}
    if shards := shards_in(tree):
        return split_by_name(shards, dataset, also)
    raise UserError(f"{tree.where(TABLE)}: no such file; a table with a column path belongs there")


def _is_there(tree: Tree, path: str) -> bool:
    try:
        tree.open(path).close()
    except FileNotFoundError:
        return False
    return True


class _Reader:
    """Reads one table after another."""

    def __init__(self, dataset: Dataset) -> None:
        self._columns = columns = dataset.columns
        self._own = (columns.image, columns.split, columns.id)
        self._named = None
        if columns.labels:
            self._named = NamedLabels(columns.labels, columns.separator, dataset.class_names)
        self._classes = ClassColumns()
        self._first: TableFile | None = None  # a table stays open as long as it is kept
        self._count = 0
        self._parts: list[tuple[pa.Array, pa.Array, pa.Array]] = []
        self._codes: list[np.ndarray] = []  # of the splits, of each row
        self._splits: dict[str, int] = {}
        self._passed_over: dict[str, None] = {}
        self._numbered: dict[str, None] = {}  # columns with the numbers of classes, that nobody asked for

    def read(self, table: TableFile, split: str | None) -> None:
        """Take all rows of a table; `split` is theirs, where its name says so."""
        self._check_columns(table)
        classes = self._class_columns(table)
        self._first, self._count = self._first or table, self._count + 1
        own = [name for name in self._own if name in table.names]
        label = [self._columns.labels] if self._columns.labels else classes
        for batch in table.batches(list(dict.fromkeys([*own, *label])), self._columns.image):
            addresses, names = addresses_of(table, batch, self._columns.image)
            ids = ids_of(table, batch, self._columns.id)
            self._parts.append((addresses, names, ids))
            self._take_splits(table, batch, split)
            if self._named is not None:
                self._named.add(table, batch)
            else:
                self._classes.add(table, batch, classes)

    def _check_columns(self, table: TableFile) -> None:
        optional = {"split", "id"}  # as they are called if nobody says otherwise
        keys = [key for key in ("image", "labels", "split", "id") if getattr(self._columns, key) is not None]
        for key, name in ((key, getattr(self._columns, key)) for key in keys):
            if name not in table.names and not (key in optional and name == key):
                # a short word is near to much, and told all the same
                near = did_you_mean(name, table.names)
                told = f"; dataset.columns.{key} may name another" if table.names else ""
                raise UserError(
                    f"{table}: no column {name}{near}; it has {some_of(table.names) or 'none'}{told}"
                )
        first = self._first or table
        if (self._columns.split in first.names) != (self._columns.split in table.names):
            raise UserError(f"{table}: a column {self._columns.split} must be in all tables or in none")

    def _class_columns(self, table: TableFile) -> list[str]:
        """The columns that may be classes; none where one column has the labels."""
        others = [name for name in table.names if name not in (*self._own, self._columns.labels)]
        if self._named is not None:
            self._passed_over.update(dict.fromkeys(others))
            return []
        numbered = [name for name in others if table.classes_of(name)]
        self._numbered.update(dict.fromkeys(numbered))
        classes = [name for name in others if name not in numbered]
        first = self._first or table
        if table.closed and (differing := {*classes} ^ ({*first.names} - {*self._own})):
            raise UserError(f"{table}: its columns are not those of {first}: {some_of(sorted(differing))}")
        return classes

    def _take_splits(self, table: TableFile, batch: Batch, split: str | None) -> None:
        column = self._columns.split
        if split is not None:
            coded = pa.array([split] * len(batch.lines)).dictionary_encode()
        elif column not in batch.columns:
            return
        else:
            text = as_text(batch.columns[column])
            if text is None:
                raise UserError(
                    f"{table}: the column {column} holds {batch.columns[column].type}, and no names"
                )
            coded = text.dictionary_encode()
        places = []
        for place, name in enumerate(coded.dictionary.to_pylist()):
            if not re.match(NAME, name):
                where = table.at(batch.lines[pc.index(coded.indices, place).as_py()])
                raise UserError(f"{where}: {name!r} is no name of a split; it has {NAME_IN_WORDS}")
            places.append(self._splits.setdefault(name, len(self._splits)))
        self._codes.append(np.array(places, np.int64)[coded.indices.to_numpy()])

    def rows(self) -> TableRows:
        """What all tables say together."""
        more = f" and {self._count - 1} more" if self._count > 1 else ""
        where = f"{self._first}{more}"
        if not any(len(addresses) for addresses, _, _ in self._parts):
            raise UserError(f"{where}: names no images; add a line for each")
        paths, names, ids = (
            pa.concat_arrays([part.cast(pa.large_string()) for part in parts])
            for parts in zip(*self._parts, strict=True)
        )
        self._parts.clear()
        if self._named is not None:
            classes, labels, unknown = self._named.labels()
        else:
            (classes, labels), unknown = self._classes.labels(), 0
        codes = np.concatenate(self._codes) if self._codes else np.zeros(0, np.int64)
        return TableRows(
            where,
            classes,
            labels,
            paths,
            pc.if_else(pc.equal(ids, ""), names_of(paths, names), ids),
            {name: np.flatnonzero(codes == place) for name, place in self._splits.items()},
            tuple(self._remarks(where, unknown)),
        )

    def _remarks(self, where: str, unknown: int) -> Iterator[str]:
        if passed := [*self._passed_over, *sorted(self._classes.passed_over)]:
            yield f"{where}: {counted(len(passed), 'column')} with no labels, not read: {some_of(passed)}"
        if self._numbered:
            yield (
                f"{where}: numbers of classes, not read as long as dataset.columns.labels does not name the "
                f"column: {some_of([*self._numbered])}"
            )
        if self._named is not None and (found := self._named.together()):
            name, mark = found
            yield (
                f"{where}: {name!r} is one class, but looks like several labels: set "
                f'dataset.columns.separator: "{mark}"'
            )
        if unknown:
            yield (
                f"{where}: {counted(unknown, 'image')} with nothing in the column {self._columns.labels}: "
                "which classes they show is not known"
            )
