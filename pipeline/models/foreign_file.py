"""Files that hold a network but no state dict, told by their content whatever they are called."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

_BEGINS = (  # what stands first in the file, and what it then is
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes"),
    (rb"\x93NUMPY", "a NumPy array"),
    (rb"....TFL3", "a TensorFlow Lite model"),
    # protobufs: field 1 is a version, 1 in a SavedModel and 3 or more in ONNX; then comes a field of theirs
    (rb"\x08\x01\x12", "a TensorFlow SavedModel"),
    (rb"\x08[\x03-\x3f][\x12\x1a\x22\x28\x32\x3a\x42]", "an ONNX file"),
)
_MEMBERS = (  # of a zip archive
    (r"[^/]+/(constants\.pkl|code/.*)", "a TorchScript archive"),
    (r"(.*/)?(archive_format|serialized_exported_program\.json)", "a program of torch.export"),
    (r"model\.weights\.h5", "a Keras model"),
    (r".*\.npy", "NumPy arrays"),
)


def foreign_format(path: Path) -> str | None:
    """What a file is, in words, that no state dict can be read from; None where it may hold one."""
    with path.open("rb") as file:
        begin = file.read(16)
    for start, kind in _BEGINS:
        if re.match(start, begin, re.DOTALL):
            return kind
    members = _members(path)
    for name, kind in _MEMBERS:
        if any(re.fullmatch(name, member) for member in members):
            return kind
    return None


def holds_pickled_modules(path: Path) -> bool:
    """Whether a torch file names classes of `torch.nn`: it is a network pickled whole, or has one in it."""
    pickles = [member for member in _members(path) if member.endswith("data.pkl")]
    if pickles:
        with zipfile.ZipFile(path) as archive:
            return any(b"torch.nn.modules" in archive.read(member) for member in pickles)
    with path.open("rb") as file:  # as torch wrote before 1.6: the pickle comes first
        return b"torch.nn.modules" in file.read(1 << 20)


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return []
