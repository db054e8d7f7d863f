"""What a table says of classes: a column for each, or one column with the names of those that are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import UserError
from ...labels import Labels
from ..dataset_files import SEPARATORS
from ..listing import can_be_written
from .table_file import Batch, TableFile, as_text

_ZERO, _FALSE = 2, 3  # as long as it is not known whether 0 says that a class is absent; false does
_LABELS = {"1": 1, "0": _ZERO, "-1": -1, "": 0, "true": 1, "True": 1, "false": _FALSE, "False": _FALSE}
_WORDS, _CODES = pa.array(list(_LABELS)), np.array(list(_LABELS.values()), np.int8)


class ClassColumns:
    """A column a class: 1 or true where an image shows it, -1 or false where not, else it is not known.

    0 says that it does not show it in a table without any -1, and else that it is not known.

    Attributes
    ----------
    passed_over : set of str
        Columns with values that are no labels, where these are allowed.
    """

    def __init__(self) -> None:
        self._codes: dict[str, list[np.ndarray]] = {}
        self._rows = 0
        self.passed_over: set[str] = set()

    def add(self, table: TableFile, batch: Batch, names: Sequence[str]) -> None:
        """Take what a batch says of the classes; of one that it lacks nothing is known."""
        rows = len(batch.lines)
        for name in names:
            self._codes.setdefault(name, [np.zeros(self._rows, np.int8)])
        for name, found in self._codes.items():
            if name in self.passed_over:
                continue
            codes = _codes(table, batch, name) if name in names else np.zeros(rows, np.int8)
            if codes is None:
                self.passed_over.add(name)
                found.clear()
            else:
                found.append(codes)
        self._rows += rows

    def labels(self) -> tuple[tuple[str, ...], Labels]:
        """The classes in the columns' order, and the labels of all rows."""
        classes = tuple(name for name in self._codes if name not in self.passed_over)
        labels = np.empty((self._rows, len(classes)), np.int8)
        for place, name in enumerate(classes):
            labels[:, place] = np.concatenate(self._codes.pop(name))
        labels[labels == _ZERO] = 0 if (labels == -1).any() else -1
        labels[labels == _FALSE] = -1
        return classes, Labels.dense(labels)


def _codes(table: TableFile, batch: Batch, name: str) -> np.ndarray | None:
    text = as_text(batch.columns[name])
    if text is None:
        return None
    found = pc.index_in(text, _WORDS)
    if found.null_count:
        row = pc.index(pc.is_null(found), pa.scalar(True)).as_py()
        if table.closed:
            raise UserError(
                f"{table.at(batch.lines[row])}: {name} is {text[row].as_py()!r}; "
                "allowed: 1, -1, 0, or nothing; or true, false; a column of names is dataset.columns.labels"
            )
        return None
    codes: np.ndarray = _CODES[found.to_numpy()]
    return codes


class NamedLabels:
    """One column for all classes: lists of names, one name, or names between separators.

    Where it has nothing, a null or an empty text, it is not known what the image shows. An empty list says
    that it shows none of the classes, and so does a separator alone.
    """

    def __init__(self, column: str, separator: str | None, wanted: Sequence[str] = ()) -> None:
        self._column, self._separator, self._wanted = column, separator, wanted
        self._places: dict[str, int] = {}
        self._given: dict[str, None] = {}  # in this order, whether or not an image shows them
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        self._unknown: list[np.ndarray] = [np.zeros(0, np.int64)]
        self._rows, self._has_lists = 0, False

    def add(self, table: TableFile, batch: Batch) -> None:
        """Take what a batch says.

        Raises
        ------
        UserError
            If the column holds no names, or a number that stands for none.
        """
        values = batch.columns[self._column]
        given = table.classes_of(self._column)
        self._given.update(dict.fromkeys(given))
        owners, names, unknown = self._named(table, batch, values)
        if given:
            owners, names, unknown = self._by_number(table, batch, (owners, names, unknown), given)
        coded = pc.dictionary_encode(names)
        places = [self._place(table, name) for name in coded.dictionary.to_pylist()]
        self._pairs.append((owners + self._rows, np.array(places, np.int64)[coded.indices.to_numpy()]))
        self._unknown.append(unknown + self._rows)
        self._rows += len(batch.lines)

    def _named(
        self, table: TableFile, batch: Batch, values: pa.Array
    ) -> tuple[np.ndarray, pa.Array, np.ndarray]:
        """Rows and names of what is shown, and the rows of which nothing is known."""
        if _is_list(values.type):
            self._has_lists = True
            owners, unknown = pc.list_parent_indices(values), pc.is_null(values)
            names = as_text(pc.list_flatten(values))
        else:
            names, owners = as_text(values), pa.array(np.arange(len(values)))
            unknown = None if names is None else pc.equal(names, "")
            if names is not None and self._separator is not None:
                parts = pc.split_pattern(names, self._separator)
                names, owners = pc.utf8_trim_whitespace(pc.list_flatten(parts)), pc.list_parent_indices(parts)
        if names is None:
            raise UserError(
                f"{table}: the column {self._column} holds {values.type}, and no names of classes"
            )
        there = pc.not_equal(names, "")
        return (
            pc.filter(owners, there).to_numpy().astype(np.int64),
            pc.filter(names, there),
            np.flatnonzero(unknown.to_numpy(zero_copy_only=False)),
        )

    def _by_number(
        self,
        table: TableFile,
        batch: Batch,
        found: tuple[np.ndarray, pa.Array, np.ndarray],
        given: tuple[str, ...],
    ) -> tuple[np.ndarray, pa.Array, np.ndarray]:
        """Names instead of a ClassLabel's numbers, of which -1 says that it is not known."""
        owners, texts, unknown = found
        places = pc.index_in(texts, pa.array([str(number) for number in range(-1, len(given))]))
        if places.null_count:
            row = pc.index(pc.is_null(places), pa.scalar(True)).as_py()
            where = table.at(batch.lines[owners[row]])
            raise UserError(
                f"{where}: {self._column} is {texts[row].as_py()}, and there are {len(given)} classes"
            )
        numbers = places.to_numpy() - 1
        known = numbers >= 0
        names = pa.array(given, pa.string()).take(pa.array(numbers[known]))
        unknown = np.setdiff1d(np.union1d(unknown, owners[~known]), owners[known])
        return owners[known], names, unknown

    def _place(self, table: TableFile, name: str) -> int:
        if name not in self._places and not can_be_written(name):
            raise UserError(f"{table}: {name!r}: a class with control characters")
        return self._places.setdefault(name, len(self._places))

    def together(self) -> tuple[str, str] | None:
        """A class such as `cat;dog` and its mark, if most that have the mark are of names that stand alone.

        None where a separator is set, or the column holds lists.
        """
        if self._separator is not None or self._has_lists:
            return None
        for mark in SEPARATORS:
            joint = [name for name in self._places if mark in name]
            parts = ([part.strip() for part in name.split(mark)] for name in joint)
            known = sum(all(part in self._places for part in several if part) for several in parts)
            if 2 * known > len(joint):
                return joint[0], mark
        return None

    def labels(self) -> tuple[tuple[str, ...], Labels, int]:
        """The classes, the labels of all rows, and of how many rows nothing is known.

        Classes stand in the order that the file gives them, others by name, and numbers by size.
        """
        others = [name for name in self._places if name not in self._given]
        if others and not self._given:  # a class that no row happens to show is one all the same
            others += [name for name in self._wanted if name not in self._places]
        numbers = all(name.removeprefix("-").isdecimal() for name in others)
        others.sort(key=(lambda name: (int(name), name)) if numbers else lambda name: (0, name))
        classes = (*self._given, *others)
        at = {name: place for place, name in enumerate(classes)}
        order = np.array([at[name] for name in self._places], np.int64)
        rows, places = (np.concatenate(part) for part in zip(*self._pairs, strict=True))
        shown = np.sort(rows * max(1, len(classes)) + order[places])
        shown = shown[np.diff(shown, prepend=-1) > 0]  # a name may stand twice in a list
        unknown = np.unique(np.concatenate(self._unknown))
        columns = np.tile(np.arange(len(classes)), len(unknown))
        shape = (self._rows, len(classes))
        rows, places = np.divmod(shown, max(1, len(classes)))
        labels = Labels.of(
            np.concatenate([rows, np.repeat(unknown, len(classes))]),
            np.concatenate([places, columns]),
            np.repeat(np.array([1, 0], np.int8), [len(rows), len(columns)]),
            shape,
        )
        return classes, labels, len(unknown)


def _is_list(kind: pa.DataType) -> bool:
    known = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view)
    return any(is_known(kind) for is_known in known)
