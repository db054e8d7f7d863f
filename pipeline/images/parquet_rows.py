"""Images in the rows of Parquet files: `train.parquet#image/12` is the bytes in a column of one row."""

from __future__ import annotations

import bisect
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..files.remote import is_remote, open_remote
from .address import Address
from .budget import ANY_MEMORY, Budget, UnreadableImage

_GB = 10**9
_PIECE = 8 << 20  # bytes of a column that are decoded at a time
_KEPT = 64 << 20  # bytes of pieces that a process keeps
_OPEN = 4  # columns of files that it keeps open; a remote one has a buffer of its own


def read_row(address: Address, budget: Budget = ANY_MEMORY) -> bytes:
    """The bytes in one row of a column.

    Rows are asked for mostly one after another, so some megabytes of them are decoded together and kept.
    Threads may ask at the same time, and so may processes after a fork.

    Raises
    ------
    UnreadableImage
        If there are none; `TooLarge` if `budget` does not allow them.
    OSError
        If the file cannot be read.
    """
    where = str(address)
    name, row = address.member.rsplit("/", 1)
    try:
        with _rows.lock:
            data = _rows.read(address.file, name, int(row), budget, where)
    except LookupError as error:
        raise UnreadableImage(where, str(error.args[0])) from None
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None) is not None:  # not Arrow's own
            raise
        reason = " ".join(str(error).split())
        raise UnreadableImage(where, f"no Parquet file, or a damaged one ({reason})") from None
    if data is None:
        raise UnreadableImage(where, "the row holds no image")
    budget.take(len(data) / _GB, where)
    return data


def bytes_leaf(column: str, schema: pa.Schema) -> str | None:
    """Where in the file a column's images are, if it holds bytes: itself, or the `bytes` of a struct."""
    kind, leaf = schema.field(column).type, column
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind, leaf = kind.field("bytes").type, f"{column}.bytes"
    known = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return leaf if any(is_known(kind) for is_known in known) else None


def values_of(images: pa.Array) -> pa.Array:
    """The bytes in what is read of `bytes_leaf`."""
    return pc.struct_field(images, "bytes") if pa.types.is_struct(images.type) else images


class _Column:
    """A column of an open file, decoded from the start of a row group on, a piece at a time.

    Raises
    ------
    LookupError
        If the file has no such column, or it holds no bytes; of a row, if there is none.
    """

    def __init__(self, file: str, name: str) -> None:
        # of a file that is not mapped a whole row group would be held, but for the buffer
        remote = is_remote(file)
        source = {"source": open_remote(file), "buffer_size": _PIECE} if remote else {"source": file}
        self._file = pq.ParquetFile(**source, memory_map=not remote, pre_buffer=False)
        schema = self._file.schema_arrow
        if name not in schema.names:
            raise LookupError(f"the file has no column {name}")
        leaf = bytes_leaf(name, schema)
        if leaf is None:
            raise LookupError(f"the column {name} holds {schema.field(name).type}, and no bytes")
        self._leaf = leaf
        leaves = [self._file.schema.column(place).path for place in range(len(self._file.schema))]
        self._place = leaves.index(leaf)
        counts = (self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups))
        self._starts = list(accumulate(counts, initial=0))
        self._group, self._next = -1, 0
        self._ahead: Iterator[pa.RecordBatch] = iter(())

    def piece_of(self, row: int) -> tuple[int, int, int]:
        """The row group of a row, the first row of its piece, and the bytes that the piece takes, about."""
        if not 0 <= row < self._starts[-1]:
            raise LookupError(f"the file has no row {row}; it has {self._starts[-1]}, counted from 0")
        group = bisect.bisect_right(self._starts, row) - 1
        size, each = self._step(group)
        start = self._starts[group]
        return group, row - (row - start) % size, int(size * each)

    def _step(self, group: int) -> tuple[int, float]:
        """How many rows a piece has, and the bytes of a row, on average."""
        content = self._file.metadata.row_group(group)
        each = max(1.0, content.column(self._place).total_uncompressed_size / content.num_rows)
        return min(content.num_rows, max(1, int(_PIECE / each))), each

    def pieces_to(self, group: int, first: int) -> Iterator[tuple[int, pa.Array]]:
        """The pieces up to the one with the first row `first`: from where reading stands, if it can go on."""
        if group != self._group or first < self._next:
            self._group, self._next = group, self._starts[group]
            self._ahead = self._file.iter_batches(
                self._step(group)[0], row_groups=[group], columns=[self._leaf], use_threads=False
            )
        while self._next <= first and (batch := next(self._ahead, None)) is not None:
            begins, self._next = self._next, self._next + batch.num_rows
            yield begins, values_of(batch.column(0))


class _Rows:
    """What a process has open and at hand; for one thread at a time."""

    def __init__(self) -> None:
        self.start_afresh()

    def start_afresh(self) -> None:
        """Have nothing open: after a fork the lock may be held for ever, and places in files are shared."""
        self.lock = threading.Lock()
        self._columns: OrderedDict[tuple[object, ...], _Column] = OrderedDict()
        self._pieces: OrderedDict[tuple[object, ...], pa.Array] = OrderedDict()

    def read(self, file: str, name: str, row: int, budget: Budget, where: str) -> bytes | None:
        """A value of a column; None for null."""
        key = (file, name, *_stamp(file))
        column = self._columns.pop(key, None) or _Column(file, name)
        self._columns[key] = column  # the last one used is the last to go
        while len(self._columns) > _OPEN:
            self._columns.popitem(last=False)
        group, first, size = column.piece_of(row)
        if (*key, first) not in self._pieces:
            budget.take(size / _GB, where)
            try:
                for begins, piece in column.pieces_to(group, first):
                    self._keep((*key, begins), piece)
            except (pa.ArrowException, OSError):
                del self._columns[key]  # it stands somewhere in the middle
                raise
        piece = self._pieces.get((*key, first))
        if piece is None:
            raise LookupError("the file is damaged: a row group has fewer rows than it says")
        self._pieces.move_to_end((*key, first))
        value: bytes | None = piece[row - first].as_py()
        return value

    def _keep(self, key: tuple[object, ...], piece: pa.Array) -> None:
        self._pieces[key] = piece
        size = sum(kept.nbytes for kept in self._pieces.values())
        while size > _KEPT and len(self._pieces) > 1:
            size -= self._pieces.popitem(last=False)[1].nbytes


def _stamp(file: str) -> tuple[object, ...]:
    """What tells that a local file was replaced since it was opened."""
    if is_remote(file):
        return ()
    status = os.stat(file)  # noqa: PTH116 - a text is all there is
    if not stat.S_ISREG(status.st_mode):
        raise LookupError("no regular file")
    return status.st_size, status.st_mtime_ns, status.st_ino


_rows = _Rows()
os.register_at_fork(after_in_child=_rows.start_afresh)
