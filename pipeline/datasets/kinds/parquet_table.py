"""A table in a Parquet file: which images it holds is known without reading them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...errors import UserError
from ...images.parquet_rows import bytes_leaf, values_of
from .table_file import Batch, TableFile

_ROWS = 1 << 16  # at a time
_IMAGES = 64  # at a time, where they must be read
_BUFFER = 1 << 20  # bytes; without one, all of a column in a row group are read at once


class ParquetTable(TableFile):
    """Parquet, also as Hugging Face's datasets write it: an image is a struct of `bytes` and `path`."""

    def _names(self) -> list[str]:
        try:
            self._file = pq.ParquetFile(self.tree.open(self.path), buffer_size=_BUFFER, pre_buffer=False)
            return list(self._file.schema_arrow.names)
        except FileNotFoundError:
            raise UserError(f"{self}: no such file; a table belongs there") from None
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> UserError:
        return UserError(f"{self}: no Parquet file, or a damaged one ({' '.join(str(error).split())})")

    def at(self, line: int) -> str:  # noqa: D102
        return f"{self}: row {line}"

    def classes_of(self, column: str) -> tuple[str, ...]:
        """The names of a ClassLabel, or of a list of them, as Hugging Face's datasets note in the schema."""
        noted = (self._file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
        try:
            found = msgspec.json.decode(noted)["info"]["features"][column]
            while isinstance(found, list) or "feature" in found:  # [ClassLabel]; Sequence or List of them
                found = found[0] if isinstance(found, list) else found["feature"]
            return tuple(map(str, found["names"])) if found["_type"] == "ClassLabel" else ()
        except (msgspec.MsgspecError, KeyError, TypeError, IndexError):
            return ()

    def batches(self, wanted: Collection[str], image: str) -> Iterator[Batch]:  # noqa: D102
        leaf = bytes_leaf(image, self._file.schema_arrow)
        inside = [image] if leaf is None else []
        if pa.types.is_struct(kind := self._file.schema_arrow.field(image).type):
            inside = [f"{image}.path"] if kind.get_field_index("path") >= 0 else []
        start = 0
        try:
            embedded = None if leaf is None else self._embedded(leaf)
            for parts in self._blocks([*(name for name in wanted if name != image), *inside]):
                table = pa.Table.from_batches(parts)
                rows = range(start, start := start + sum(part.num_rows for part in parts))
                columns = {name: _whole(table.column(name)) for name in table.column_names}
                yield Batch(columns, rows, None if embedded is None else embedded[rows.start : rows.stop])
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None

    def _blocks(self, leaves: Sequence[str]) -> Iterator[list[pa.RecordBatch]]:
        """All rows in blocks: a batch ends with its row group, and there may be a thousand small ones."""
        block: list[pa.RecordBatch] = []
        for part in self._file.iter_batches(_ROWS, columns=leaves, use_threads=False):
            block.append(part)
            if sum(part.num_rows for part in block) >= _ROWS:
                yield block
                block = []
        if block:
            yield block

    def _embedded(self, leaf: str) -> np.ndarray:
        """Which rows hold bytes: by what is noted of a row group, and only else by reading them."""
        leaves = [self._file.schema.column(place).path for place in range(len(self._file.schema))]
        place = leaves.index(leaf)
        found = [np.zeros(0, bool)]
        for number in range(self._file.num_row_groups):
            group = self._file.metadata.row_group(number)
            noted = group.column(place).statistics
            missing = noted.null_count if noted and noted.has_null_count else None
            known = missing in (0, group.num_rows)
            found.append(
                np.full(group.num_rows, missing == 0) if known else self._read_embedded(leaf, number)
            )
        return np.concatenate(found)

    def _read_embedded(self, leaf: str, group: int) -> np.ndarray:
        parts = self._file.iter_batches(_IMAGES, row_groups=[group], columns=[leaf], use_threads=False)
        return np.concatenate(
            [pc.is_valid(values_of(part.column(0))).to_numpy(zero_copy_only=False) for part in parts]
        )


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks)
