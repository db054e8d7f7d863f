"""HDF5 files that anybody may have made: plain arrays and plain attributes are read, all else is refused.

HDF5 can name other files (external links, external storage, virtual datasets), store pointers (references,
variable lengths) and claim a size that it has not. None of it has a place in a format of ours, so none of it
is followed: what a file may hold is looked at before anything is read. A virtual dataset has a place in one
format, of layers in parts, and is described there without opening what it names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import msgspec
import numpy as np

from ..errors import UserError
from ..params.sections import NAME

_DEPTH = 3  # of groups, the root's datasets being at 0
_UNSEEN = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
Spec = tuple[np.dtype, tuple[int, ...]]


@contextlib.contextmanager
def told_in_a_line(path: Path, stage: str, what: str) -> Iterator[None]:
    """Whatever reading a file of ours (`what`) can end in is a `UserError` of one line."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such {what}", rerun=stage) from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder; give the .h5 file in it") from None
    except PermissionError:
        raise
    except (
        OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError,
        MemoryError, msgspec.MsgspecError,
    ) as error:  # fmt: skip
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged ({reason})", rerun=stage, force=True) from None


@contextlib.contextmanager
def open_hdf5(file: BinaryIO) -> Iterator[h5py.File]:
    """An open file as HDF5: the one that was checked, even if another was renamed over it meanwhile."""
    with h5py.File(f"/dev/fd/{file.fileno()}", "r", locking=False) as h5:
        yield h5


def plain_attributes(of: h5py.HLObject) -> dict[str, Any]:
    """The attributes, each one text or one whole number; `ValueError` for any other kind."""
    return {name: plain_attribute(of, name) for name in of.attrs}


def plain_attribute(of: h5py.HLObject, name: str) -> str | int:
    """One attribute, a text or a whole number; `ValueError` for any other kind."""
    stored = of.attrs.get_id(name)
    if stored.shape == () and stored.dtype.kind in "iu":
        number = np.empty((), stored.dtype)
        stored.read(number)
        return int(number)
    if stored.shape != () or not h5py.check_string_dtype(stored.dtype):
        raise ValueError(f"the attribute {name} is {stored.dtype} {stored.shape}, not a text or a number")
    return check_text(str(of.attrs[name]), name)


def check_heaps(head: bytes) -> None:
    """`ValueError` for a heap of texts that its pieces do not fill: on some of those HDF5 never ends.

    A heap is its signature, its version and its size, in 16 bytes, then its pieces: a number, 0 for what is
    free, and a length, in 16 bytes, then the text, filled up to 8 bytes.
    """
    for found in re.finditer(rb"GCOL\x01\0\0\0", head):
        left = int.from_bytes(head[found.end() : found.end() + 8], "little") - 16
        at = found.end() + 8
        if left > len(head) - at:
            raise ValueError("a heap is larger than the file's head")
        while left >= 16:
            number, length = struct.unpack_from("<H6xQ", head, at)
            step = 16 + -(-length // 8) * 8 if number else length
            if step > left or step < 16 or (number == 0 and step != left):
                raise ValueError("a heap does not hold what it says")
            at, left = at + step, left - step


def plain_datasets(h5: h5py.File, virtual: str | None = None) -> dict[str, h5py.Dataset]:
    """Every dataset of a file by its path, each stored in one piece in the file itself.

    Parameters
    ----------
    virtual : str, optional
        What the paths begin with of those that may be virtual, as `virtual_pieces` takes them.

    Raises
    ------
    ValueError
        For a link, an object that has two names, external or virtual storage, chunks, a filter, a named type.
    """
    found: dict[str, h5py.Dataset] = {}
    seen: set[int] = set()
    pending = [("", h5.id)]
    while pending:
        where, group = pending.pop()
        for name in sorted(group):
            place = where + name.decode()
            if group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
                raise ValueError(f"{place} is a link")
            thing = h5py.h5o.open(group, name)
            if (address := h5py.h5o.get_info(thing).addr) in seen:
                raise ValueError(f"{place} is another name of something else")
            seen.add(address)
            if isinstance(thing, h5py.h5g.GroupID) and place.count("/") < _DEPTH:
                pending.append((f"{place}/", thing))
            elif isinstance(thing, h5py.h5d.DatasetID):
                may_be_virtual = virtual is not None and place.startswith(virtual)
                found[place] = _in_its_place(h5py.Dataset(thing), place, may_be_virtual)
            else:
                raise ValueError(f"{place} has no place here")
    return found


def _in_its_place(dataset: h5py.Dataset, place: str, may_be_virtual: bool) -> h5py.Dataset:
    how = dataset.id.get_create_plist()
    if may_be_virtual and how.get_layout() == h5py.h5d.VIRTUAL and not how.get_nfilters():
        virtual_pieces(dataset)  # before its shape is asked for: of some, HDF5 looks in the other files
    elif how.get_layout() != h5py.h5d.CONTIGUOUS or how.get_external_count() or how.get_nfilters():
        raise ValueError(f"{place} is not stored in one piece, in the file itself")
    return dataset


@dataclasses.dataclass(frozen=True)
class VirtualPiece:
    """Rows `first` to `stop` - 1 of a virtual dataset are all that a dataset in another file has."""

    file: str
    dataset: str
    first: int
    stop: int


def virtual_pieces(dataset: h5py.Dataset) -> list[VirtualPiece]:
    """What a virtual (N, D) dataset is put together from, in the order of its rows; nothing is opened.

    Raises
    ------
    ValueError
        If it is anything but whole rows, one after another, each piece all of another dataset.
    """
    how = dataset.id.get_create_plist()
    pieces: list[VirtualPiece] = []
    stop, length = 0, 0
    for number in range(how.get_virtual_count()):
        here, there = how.get_virtual_vspace(number), how.get_virtual_srcspace(number)
        if (here.get_select_type(), there.get_select_type()) != (h5py.h5s.SEL_HYPERSLABS, h5py.h5s.SEL_ALL):
            raise ValueError(f"{dataset.name} is not put together from whole rows")
        (first, *_), (last, *_) = here.get_select_bounds()
        length, width = here.shape
        rows = last + 1 - first
        if (first, rows * width) != (stop, here.get_select_npoints()):
            raise ValueError(f"{dataset.name} is not put together from whole rows")
        stop = last + 1
        names = how.get_virtual_filename(number), how.get_virtual_dsetname(number)
        pieces.append(VirtualPiece(*names, first, stop))
    if not pieces or stop != length:
        raise ValueError(f"{dataset.name} is not put together from whole rows")
    return pieces


def check_spec(dataset: h5py.Dataset, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """`ValueError` unless a dataset is of this dtype and shape."""
    kind = dataset.id.get_type()
    if not kind.equal(h5py.h5t.py_create(dtype, logical=True)) or dataset.id.shape != shape:
        is_, should = f"{dataset.dtype} {dataset.id.shape}", f"{dtype} {shape}"
        raise ValueError(f"{dataset.name} is {is_}, and not {should}")


def plain_map(file: BinaryIO, dataset: h5py.Dataset, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """A read-only map of a dataset that has to be of this dtype and shape; `ValueError` if it is not."""
    check_spec(dataset, dtype, shape)
    plain = dtype if dtype.kind != "S" else np.dtype(f"S{dtype.itemsize}")
    size = math.prod(shape) * dtype.itemsize
    if size == 0:
        return np.empty(shape, plain)
    offset = dataset.id.get_offset()
    if offset is None or offset + size > os.fstat(file.fileno()).st_size:
        raise ValueError(f"{dataset.name} is not in the file")
    return np.memmap(file, plain, "r", offset, shape)


def text_dtype(dataset: h5py.Dataset) -> np.dtype:
    """The dtype of a dataset of fixed-length UTF-8, of whatever length; `ValueError` if it is none."""
    kind = dataset.id.get_type()
    if kind.get_class() != h5py.h5t.STRING or kind.is_variable_str():
        raise ValueError(f"{dataset.name} is no text of a fixed length")
    dtype: np.dtype = h5py.string_dtype("utf-8", kind.get_size())
    return dtype


def check_text(text: str, what: str) -> str:
    """`text`, if a terminal can show it in one line; `ValueError` for control characters and half pairs."""
    if _UNSEEN.search(text):
        raise ValueError(f"{what}: {text[:80]!r} cannot be shown")
    return text


def check_names(**names: str) -> None:
    """`ValueError` for a name that params.yaml would not take, as it becomes one of files and folders."""
    for what, name in names.items():
        if not re.fullmatch(NAME, name) or name.endswith("\n"):
            raise ValueError(f"{name!r} is no name of a {what}")


def check_exactly(found: Mapping[str, object], expected: set[str], what: str) -> None:
    """`ValueError` for whatever is missing, or stands there beyond what the format says."""
    for name in sorted(found.keys() ^ expected):
        raise ValueError(f"{what} {name} {'has no place here' if name in found else 'is missing'}")
