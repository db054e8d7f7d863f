"""What is in a shard stays known: one that has not changed is not read again, so one more costs one."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from ...errors import UserError
from ...files.atomic import atomic_write
from ...images.image_formats import SUFFIXES
from ...params.sections import Columns
from ..tree import Tree
from .shard import Shard, read_shard

_FORMAT = 1  # raise it where `read_shard` finds something else in the same bytes
_RACY = 2 * 10**9  # ns; a file that is younger may change once more within a tick of its time
_SEAL = 32  # bytes at a file's beginning: the SHA-256 of the others
_log = logging.getLogger(__name__)


def know_shards(tree: Tree, paths: Sequence[str], columns: Columns) -> dict[str, Shard]:
    """The shards of a tree by their paths; those that are new or have changed are read.

    In `tree.kept`, if it has one, is a file for each shard, named by the shard's place, its stamp, the
    columns and the endings of images. What no shard needs any more is removed.

    Raises
    ------
    UserError
        As `read_shard` does, and if there is no such shard.
    """
    latest = time.time_ns() - _RACY
    shards, used = {}, set()
    for path in paths:
        file = _place(tree, path, columns, latest)
        shard = _kept(file) if file else None
        if shard is None:
            shard = _read(tree, path, columns)
            if file:
                _keep(file, shard)
        shards[path] = shard
        used.add(file)
    if tree.kept and tree.kept.is_dir():
        for file in set(tree.kept.iterdir()) - used:
            with contextlib.suppress(OSError):  # another run has removed it, or it may only be read
                file.unlink()
    return shards


def forget_samples(kept: Path, ids: Collection[str]) -> None:
    """Remove what is kept of shards with some samples."""
    for file in kept.iterdir() if kept.is_dir() else ():
        shard = _kept(file)
        if shard is None or any(
            name == key or name.endswith(f"/{key}") for name in ids for key in shard.keys
        ):
            file.unlink(missing_ok=True)


def _place(tree: Tree, path: str, columns: Columns, latest: int) -> Path | None:
    """The file of a shard; None where nothing is kept, or its stamp is too young to be trusted."""
    if tree.kept is None:
        return None
    try:
        stamp = tree.stamp(path)
    except OSError:  # it is not there, which reading it will tell
        return None
    if stamp is None or any(not isinstance(part, str) and part >= latest for part in stamp[1:3]):
        return None
    about = f"{_FORMAT}\n{tree.root}\n{path}\n{stamp}\n{columns}\n{sorted(SUFFIXES)}"
    return tree.kept / hashlib.blake2b(about.encode(), digest_size=16).hexdigest()


def _read(tree: Tree, path: str, columns: Columns) -> Shard:
    try:
        with tree.open(path) as file:
            return read_shard(file, tree.where(path), columns)
    except FileNotFoundError:
        raise UserError(f"dataset.files: {tree.where(path)}: no such file") from None


def _kept(file: Path) -> Shard | None:
    """What is kept in a file; None where there is none, or a damaged one."""
    with contextlib.suppress(OSError, msgspec.DecodeError, ValueError):
        data = file.read_bytes()
        if hashlib.sha256(data[_SEAL:]).digest() == data[:_SEAL]:
            known: dict[tuple[str, ...], tuple[str, ...]] = {}  # each once, as where they were read
            shard = msgspec.msgpack.decode(data[_SEAL:], type=Shard)
            labels = [names and known.setdefault(names, names) for names in shard.labels]
            return dataclasses.replace(shard, labels=labels)
    return None


def _keep(file: Path, shard: Shard) -> None:
    data = msgspec.msgpack.encode(shard)
    try:
        with atomic_write(file) as temporary, temporary.open("wb") as target:
            target.write(hashlib.sha256(data).digest())
            target.write(data)
    except OSError as error:
        _log.warning("%s: cannot be written (%s); the shard is read again next time", file, error.strerror)
