"""A table in a file, read as Arrow columns some thousand rows at a time: CSV, TSV and JSON Lines."""

from __future__ import annotations

import abc
import codecs
import contextlib
import csv
import dataclasses
import io
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import UserError
from ..tree import Tree

_ROWS = 1 << 12  # of text at a time


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some rows of a table.

    Attributes
    ----------
    columns : {name: array of n values}
    lines : n int
        Where each row is in its file, for messages.
    embedded : (n,) bool, optional
        Which rows of a Parquet file hold an image's bytes, and not only its path; None: no row does.
    """

    columns: dict[str, pa.Array]
    lines: Sequence[int]
    embedded: np.ndarray | None = None


class TableFile(abc.ABC):
    """A table that is read more than once, and never held whole.

    Attributes
    ----------
    names : list of str
        Of its columns.
    closed : bool
        Whether every column is meant: another one is a mistake, and so is one that another file lacks.
    """

    closed = False

    def __init__(self, tree: Tree, path: str) -> None:
        self.tree, self.path = tree, path
        self.names = self._names()
        if len(set(self.names)) < len(self.names) or "" in self.names:
            raise UserError(f"{self}: a column without a name, or two of one name; rename them")

    def __str__(self) -> str:
        return self.tree.where(self.path)

    @abc.abstractmethod
    def _names(self) -> list[str]: ...

    @abc.abstractmethod
    def batches(self, wanted: Collection[str], image: str) -> Iterator[Batch]:
        """All rows, of which only some columns are read, and of `image`, if that is a struct, the `path`."""

    def at(self, line: int) -> str:
        """A row, for messages."""
        return f"{self}:{line}"

    def classes_of(self, column: str) -> tuple[str, ...]:
        """The names that the numbers in a column stand for; none where they are but numbers."""
        return ()


class DelimitedTable(TableFile):
    """CSV, or TSV: cells between delimiters, in quotes where need be, under a header (RFC 4180)."""

    closed = True

    def _names(self) -> list[str]:
        _, (header, *_) = next(self._blocks(1), ([], [[]]))
        return [name.strip() for name in header]

    def batches(self, wanted: Collection[str], image: str) -> Iterator[Batch]:  # noqa: D102
        places = {name: place for place, name in enumerate(self.names) if name in wanted}
        for number, (lines, rows) in enumerate(self._blocks(_ROWS)):
            if number == 0:
                del lines[0], rows[0]  # the header
            for line, cells in zip(lines, rows, strict=True):
                if len(cells) != len(self.names):
                    raise UserError(
                        f"{self.at(line)}: {len(cells)} cells, and there are {len(self.names)} columns"
                    )
            columns = {name: [cells[place] for cells in rows] for name, place in places.items()}
            yield Batch({name: pa.array(cells, pa.string()) for name, cells in columns.items()}, lines)

    def _blocks(self, most: int) -> Iterator[tuple[list[int], list[list[str]]]]:
        """The numbers and the cells of lines that have any, the header first."""
        delimiter, known = ("\t", "TSV") if self.path.lower().endswith(".tsv") else (",", "CSV")
        try:
            with self.tree.open(self.path) as file:
                text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
                reader = csv.reader(text, delimiter=delimiter, strict=True)
                numbered = ((reader.line_num, cells) for cells in reader if cells)
                while block := list(itertools.islice(numbered, most)):
                    lines, rows = zip(*block, strict=True)
                    yield list(lines), list(rows)
        except FileNotFoundError:
            raise UserError(f"{self}: no such file; a table with a column path belongs there") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{self}: not a {known} file in UTF-8 ({error}); write it again") from None


class JsonLines(TableFile):
    """JSON Lines: an object a line, whose keys are the columns; what a line lacks is null."""

    def _names(self) -> list[str]:
        keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
        found: dict[str, None] = {}
        for _, record in self._lines(keys):
            if not record.keys() <= found.keys():
                found.update(dict.fromkeys(record))
        return list(found)

    def batches(self, wanted: Collection[str], image: str) -> Iterator[Batch]:  # noqa: D102
        lines = self._lines(msgspec.json.Decoder(dict[str, Any]))
        while block := list(itertools.islice(lines, _ROWS)):
            chosen = {name: _array([record.get(name) for _, record in block]) for name in wanted}
            yield Batch(chosen, [line for line, _ in block])

    def _lines(self, decoder: msgspec.json.Decoder[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
        try:
            with self.tree.open(self.path) as file:
                for number, line in enumerate(file, start=1):
                    text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                    if text.strip():
                        yield number, decoder.decode(text)
        except FileNotFoundError:
            raise UserError(f"{self}: no such file; a table belongs there") from None
        except (UnicodeDecodeError, msgspec.MsgspecError, RecursionError) as error:
            raise UserError(f"{self.at(number)}: not an object of JSON in UTF-8 ({error})") from None


def _array(values: list[Any]) -> pa.Array:
    """Values of JSON; beside a list a single one is a list of one, and else what differs is text."""
    with contextlib.suppress(pa.ArrowException, OverflowError):
        return pa.array(values)
    if any(isinstance(value, list) for value in values):
        values = [value if isinstance(value, list | None) else [value] for value in values]
        with contextlib.suppress(pa.ArrowException, OverflowError):
            return pa.array(values)
    texts = (isinstance(value, str | None) for value in values)  # half of them may be 1, and half "1"
    return pa.array(
        [
            value if text else msgspec.json.encode(value).decode()
            for value, text in zip(values, texts, strict=True)
        ],
        pa.string(),
    )


def as_text(values: pa.Array) -> pa.Array | None:
    """Values as text without spaces around it, '' for what is null; None where they are none of text.

    Numbers without a fraction are whole ones, as pandas makes 1.0 of 1 where a value is missing.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = values.type
    if pa.types.is_floating(kind):
        values = values.cast(pa.float64())
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
        whole = pc.and_(pc.equal(values, pc.round(values)), pc.less(pc.abs(values), 2.0**53))
        if pc.all(whole).as_py() is not False:
            values = values.cast(pa.int64())
    elif not (
        pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
    ):
        return None
    return pc.utf8_trim_whitespace(pc.fill_null(values.cast(pa.string()), ""))
