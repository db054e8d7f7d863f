"""Digests of files and of plain content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def sha256_of_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(path: Path) -> str:
    """That of a file's bytes; of a folder, that of its files' names and digests."""
    if not path.is_dir():
        return sha256_of_file(path)
    lines = [f"{sha256_of_file(file)}  {file.relative_to(path).as_posix()}\n" for file in files_in(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (files_in(path) if path.is_dir() else [path]))


def files_in(folder: Path) -> list[Path]:
    """All files of a folder and its folders, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest_of(content: Any) -> str:
    """BLAKE2b-128 of plain JSON content, in hexadecimal; `ValueError` for NaN, `TypeError` for an object."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
