"""Which images a table's rows name: addresses that lead nowhere else, and ids."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import UserError
from ...images.address import Address, is_taken
from ..listing import can_be_written
from .table_file import Batch, TableFile, as_text

_REMOTE = r"^(https?|s3|gs)://[^/@]+/"  # credentials stand in no address
_SCHEME = r"^[A-Za-z][A-Za-z0-9+.:-]*:/"
# of nothing but dots; from elsewhere; upwards; a path of Windows; what fits into no line
_NO_PATH = r"^[./]*$|^/|(^|/)\.\.(/|$)|\\|[\p{Cc}\p{Zl}\p{Zp}]"
_NO_ID = r"[\p{Cc}\p{Zl}\p{Zp}]"
_SUFFIX = r"([^/])\.[^/.]+$"
_NOT_NORMAL = r"^\./|//|/\.(/|$)|/$"


def addresses_of(table: TableFile, batch: Batch, image: str) -> tuple[pa.Array, pa.Array]:
    """Addresses of a batch's images from the data set's root, and what names each: '' where that is nothing.

    Raises
    ------
    UserError
        If a row has no image, or a path or address that is not read.
    """
    column = batch.columns.get(image)
    if column is not None and pa.types.is_struct(column.type):
        column = pc.struct_field(column, "path") if column.type.get_field_index("path") >= 0 else None
    if column is None and batch.embedded is not None:
        column = pa.nulls(len(batch.lines), pa.string())
    paths = None if column is None or _is_number(column.type) else as_text(column)
    if paths is None:
        raise UserError(f"{table}: the column {image} holds no images, neither paths nor bytes")
    if batch.embedded is None:
        _check(table, batch, paths)
        return paths, paths
    example = Address(table.path, f"{image}/0")
    if Address.parse(str(example)) != example or not can_be_written(str(example)):
        raise UserError(
            f"{table}: {str(example)!r} is no address; rename the file as <name>.parquet, or the column"
        )
    # a row without bytes and path is found out when it is read, as a damaged image is
    inside = pc.or_(pa.array(batch.embedded), pc.equal(paths, ""))
    _check(table, batch, pc.if_else(inside, "inside", paths))
    rows = pa.array(np.asarray(batch.lines)).cast(pa.string())
    members = pc.binary_join_element_wise(f"{table.path}#{image}/", rows, "")
    return pc.if_else(inside, members, paths), paths


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _check(table: TableFile, batch: Batch, paths: pa.Array) -> None:
    remote = pc.match_substring_regex(paths, _REMOTE)
    elsewhere = pc.and_not(pc.match_substring_regex(paths, _SCHEME), remote)
    refuse_any(table, batch, paths, elsewhere, "is read from no table; https://, s3:// and gs:// are")
    bad = pc.match_substring_regex(paths, _NO_PATH)
    refuse_any(table, batch, paths, bad, "is no path of an image from the table's folder")
    for row in np.flatnonzero(pc.match_substring(paths, "#").to_numpy(zero_copy_only=False)).tolist():
        if is_taken(paths[row].as_py().rpartition("://")[2]):
            where = table.at(batch.lines[row])
            raise UserError(f"{where}: {paths[row].as_py()!r} would be read as a part of a file; rename it")


def refuse_any(table: TableFile, batch: Batch, texts: pa.Array, bad: pa.Array, problem: str) -> None:
    """Stop at the first row for which `bad` is true."""
    row = pc.index(bad, pa.scalar(True)).as_py()
    if row >= 0:
        raise UserError(f"{table.at(batch.lines[row])}: {texts[row].as_py()!r} {problem}")


def ids_of(table: TableFile, batch: Batch, column: str) -> pa.Array:
    """What a batch says in its column of ids, '' where that is nothing."""
    if column not in batch.columns:
        return pa.array([""] * len(batch.lines), pa.string())
    ids = as_text(batch.columns[column])
    if ids is None:
        raise UserError(f"{table}: the column {column} holds {batch.columns[column].type}, and no ids")
    refuse_any(table, batch, ids, pc.match_substring_regex(ids, _NO_ID), "is an id with control characters")
    return ids


def names_of(paths: pa.Array, names: pa.Array) -> pa.Array:
    """Ids of images that have none: their paths without suffixes, as `image_tree.short_ids` makes them.

    Of a row of a Parquet file the name that is noted beside the bytes, if all images have different ones;
    else the file's name and the row.
    """
    rows = pc.replace_substring_regex(paths, r"\.parquet#.*/(\d+)$", r"/\1")
    names = pc.if_else(pc.match_substring_regex(names, rf"^[./]*$|{_NO_ID}"), rows, names)
    if not (names.equals(paths) or _distinct(names) == _distinct(paths)):
        names = rows
    short = pc.replace_substring_regex(names, _SUFFIX, r"\1")
    unusual = pc.and_not(
        pc.match_substring_regex(names, _NOT_NORMAL), pc.match_substring_regex(names, _REMOTE)
    )
    if pc.any(unusual).as_py():
        mended = [str(PurePosixPath(name).with_suffix("")) for name in pc.filter(names, unusual).to_pylist()]
        short = pc.replace_with_mask(short, unusual, pa.array(mended, short.type))
    return short if _distinct(short) in (len(short), _distinct(names)) else names


def _distinct(texts: pa.Array) -> int:
    count: int = pc.count_distinct(texts).as_py()
    return count
