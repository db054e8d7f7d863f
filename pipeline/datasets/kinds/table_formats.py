"""The formats that a table may have, by its file's ending."""

from __future__ import annotations

from ...errors import UserError
from ..tree import Tree
from .parquet_table import ParquetTable
from .table_file import DelimitedTable, JsonLines, TableFile


def open_table(tree: Tree, path: str) -> TableFile:
    """The table in a file of a known kind, by its ending.

    Raises
    ------
    UserError
        If it is missing, of another kind, or damaged.
    """
    kinds: dict[str, type[TableFile]] = {
        ".csv": DelimitedTable,
        ".tsv": DelimitedTable,
        ".jsonl": JsonLines,
        ".ndjson": JsonLines,
        ".parquet": ParquetTable,
    }
    ending = next((ending for ending in kinds if path.lower().endswith(ending)), None)
    if ending is None:
        raise UserError(
            f"{tree.where(path)}: no known kind of table; its name must end in one of {', '.join(kinds)}"
        )
    return kinds[ending](tree, path)
