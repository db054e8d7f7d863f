"""HDF5 files of a few arrays: each under a SHA-256, all else under the header that feature files have."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np

from ..files.atomic import atomic_write
from .block_writer import told_by_errno
from .header import Kind, check_header, check_places, header_size, write_header
from .plain_hdf5 import (
    Spec,
    check_exactly,
    open_hdf5,
    plain_attributes,
    plain_datasets,
    plain_map,
    told_in_a_line,
)

Specify = Callable[[dict[str, Any], Mapping[str, h5py.Dataset]], dict[str, Spec]]


def write_sealed(
    path: Path | str,
    kind: Kind,
    attributes: Mapping[str, str | int],
    arrays: Iterable[tuple[str, np.ndarray]],
    count: int,
) -> None:
    """Write a file, whole or not at all; the same bytes for the same content.

    Parameters
    ----------
    arrays : iterable of (name, array)
        At most `count`; only one is held in memory at a time.
    """
    sums, places, size = {}, [], header_size(count)
    with atomic_write(path) as temporary:
        with told_by_errno(temporary), h5py.File(temporary, "w", userblock_size=size) as file:
            for name, values in arrays:
                stored = file.create_dataset(name, data=np.ascontiguousarray(values))
                sums[name] = hashlib.sha256(values.tobytes()).hexdigest()
                if stored.nbytes:
                    offset = stored.id.get_offset()
                    places.append((offset, offset + stored.nbytes))
            about = {"format": kind.format, "format_version": kind.version, **attributes}
            for name, value in sorted(
                {**about, "sha256_of_datasets": json.dumps(sums, sort_keys=True)}.items()
            ):
                file.attrs[name] = value
        with temporary.open("r+b") as raw:
            write_header(raw, size, places, kind)


@dataclasses.dataclass(frozen=True)
class SealedFile:
    """A file that `write_sealed` wrote, open for reading; `arrays` are maps, as yet unread."""

    path: Path
    kind: Kind
    attributes: dict[str, Any]
    arrays: dict[str, np.ndarray]
    sums: dict[str, str]

    @classmethod
    def open(cls, path: Path, kind: Kind, specify: Specify) -> SealedFile:
        """Open a file.

        Parameters
        ----------
        specify : function
            Of the attributes and the datasets found: {name: (dtype, shape)} of all that there have to be.

        Raises
        ------
        UserError
            If it is not there, of another format or version, damaged, or anything in it is not as specified.
        """
        with told_in_a_line(path, kind.stage, kind.called), path.open("rb") as file:
            version, head = check_header(file, path, kind)
            with open_hdf5(file) as h5:
                attributes, found = plain_attributes(h5), plain_datasets(h5)
                if (attributes.pop("format"), attributes.pop("format_version")) != (kind.format, version):
                    raise ValueError("its attributes are of another format")
                sums = msgspec.json.decode(attributes.pop("sha256_of_datasets"), type=dict[str, str])
                specified = specify(attributes, found)
                check_exactly(found, set(specified), "the dataset")
                check_exactly(sums, set(specified), "the digest of")
                arrays = {name: plain_map(file, found[name], *specified[name]) for name in specified}
                check_places(head, arrays.values(), h5.userblock_size)
        return cls(path, kind, attributes, arrays, sums)

    def read(self, name: str) -> np.ndarray:
        """An array, in memory; `UserError` if its bytes are not those that were written."""
        values = np.array(self.arrays[name])
        if hashlib.sha256(values.tobytes()).hexdigest() != self.sums[name]:
            raise self.kind.refusal(f"{self.path}: damaged ({name} is not as it was written)")
        return values
