"""What is in a shard stays known: one that has not changed is not read again, so one more costs one."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from ...errors import UserError
from ...files.kept import is_settled, keep, read_kept
from ...images.image_formats import SUFFIXES
from ...params.sections import Columns
from ..tree import Tree
from .shard import Shard, read_shard

_FORMAT = 1  # raise it where `read_shard` finds something else in the same bytes


def know_shards(tree: Tree, paths: Sequence[str], columns: Columns) -> dict[str, Shard]:
    """The shards of a tree by their paths; those that are new or have changed are read.

    In `tree.kept`, if it has one, is a file for each shard, named by the shard's place, its stamp, the
    columns and the endings of images. What no shard needs any more is removed.

    Raises
    ------
    UserError
        As `read_shard` does, and if there is no such shard.
    """
    now = time.time_ns()
    shards, used = {}, set()
    for path in paths:
        file = _place(tree, path, columns, now)
        shard = _kept(file) if file else None
        if shard is None:
            shard = _read(tree, path, columns)
            if file:
                keep(file, msgspec.msgpack.encode(shard), "the shard is")
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


def _place(tree: Tree, path: str, columns: Columns, now: int) -> Path | None:
    """The file of a shard; None where nothing is kept, or its stamp is too young to be trusted."""
    if tree.kept is None:
        return None
    try:
        stamp = tree.stamp(path)
    except OSError:  # it is not there, which reading it will tell
        return None
    if not is_settled(stamp, now):
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
    if (data := read_kept(file)) is None:
        return None
    try:
        shard = msgspec.msgpack.decode(data, type=Shard)
    except (msgspec.DecodeError, ValueError):  # of a program that has another form of it
        return None
    known: dict[tuple[str, ...], tuple[str, ...]] = {}  # each once, as where they were read
    labels = [names and known.setdefault(names, names) for names in shard.labels]
    return dataclasses.replace(shard, labels=labels)
