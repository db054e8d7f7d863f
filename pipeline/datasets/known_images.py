"""What was found in images stays known: a file that has not changed is not read again.

One file holds, for every image of the last run, a digest of its address and of its file's stamp (size, times
and inode; of a remote one size and etag), and what was found. A stamp is a hint: one that is too young is not
trusted, nor is anything where Pillow or the check is another one. What gave no image is always read again. A
file of another version is as if there was none: to have all images looked at again, remove it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import itertools
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files.kept import is_settled, keep, read_kept
from ..images.address import Address
from ..params import Extract
from .image_check import checked_by, find_facts, refuse_large
from .image_facts import BadImage, Facts
from .tree import Tree

_FORMAT = 2  # which brought what the pictures look like
_SAVE_SECONDS = 60.0  # of work that a kill may cost
_BLOCK = 1024
_log = logging.getLogger(__name__)


def know_images(
    tree: Tree, paths: Sequence[str], kept: Path, memory_gb: float = Extract().memory_gb
) -> Facts:
    """What is known of a data set's images; those that are new or have changed are read.

    Parameters
    ----------
    paths : of str
        Addresses from the tree's root; one that is given twice is read once.
    kept : Path
        The file; it is written again, without images that are asked for no more.
    memory_gb : float
        What one image may take.

    Raises
    ------
    UserError
        If an image takes more memory than it may, or the process that reads one is killed; what was found
        until then is kept.
    """
    facts = Facts(list(dict.fromkeys(paths)))
    keys, settled = _keys(tree, facts.paths)
    known, entries = _read(kept, keys, facts)
    if not (missing := np.flatnonzero(~known)).size and entries == len(facts):
        return facts
    _log.info("%d of %d images are new or changed", len(missing), len(facts))
    large: list[BadImage] = []
    saved = time.monotonic()
    found = find_facts(tree.root, [facts.paths[row] for row in missing.tolist()], memory_gb)
    try:
        with contextlib.closing(found):
            for start in range(0, len(missing), _BLOCK):
                rows = missing[start : start + _BLOCK]
                block = list(itertools.islice(found, len(rows)))
                facts.fill(rows, block)
                known[rows] = True
                large += [fact for fact in block if isinstance(fact, BadImage) and fact.too_large]
                if time.monotonic() - saved > _SAVE_SECONDS:
                    _save(kept, keys, facts, known & settled)
                    saved = time.monotonic()
    finally:  # also after an error: what has been read is kept
        _save(kept, keys, facts, known & settled)
    refuse_large(large)
    return facts


def forget_images(kept: Path, digests: np.ndarray) -> None:
    """Take what is known of some images, by their (n, 16) digests, out of the file."""
    content = _content(kept)
    if content is None:  # of another program, which may know them too
        kept.unlink(missing_ok=True)
        return
    keys, table, texts = content
    stay = ~np.isin(table["digest"], np.ascontiguousarray(digests).view("V16").ravel())
    if not stay.all():
        _write(kept, keys[stay], table[stay], texts)


def _keys(tree: Tree, paths: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """By image a digest of its address and stamp, (N, 2) uint64, and whether the stamp is to be trusted."""
    now = time.time_ns()
    keys, settled = bytearray(), np.zeros(len(paths), bool)

    @functools.lru_cache  # the members of a container come one after another
    def stamp_of(file: str) -> tuple[int | str, ...] | None:
        try:
            return tree.stamp(file)
        except OSError:  # it is not there, which reading it will tell
            return None

    for row, path in enumerate(paths):
        stamp = stamp_of(Address.parse(path).file if "#" in path else path)
        keys += hashlib.blake2b(f"{tree.root}\n{path}\n{stamp}".encode(), digest_size=16).digest()
        settled[row] = is_settled(stamp, now)
    return np.frombuffer(keys, np.uint64).reshape(-1, 2), settled


def _about() -> str:
    return f"{_FORMAT} {checked_by()}"


def _read(kept: Path, keys: np.ndarray, facts: Facts) -> tuple[np.ndarray, int]:
    """Take in what is known; which rows these are, and how many images the file knows."""
    known = np.zeros(len(facts), bool)
    content = _content(kept)
    if content is None or not len(content[0]):
        return known, 0
    old, table, texts = content
    at = np.minimum(np.searchsorted(old[:, 0], keys[:, 0]), len(old) - 1)
    known = (old[at] == keys).all(axis=1)
    rows = table[at[known]]
    for name in ("doubt", "note"):
        places, inverse = np.unique(rows[name], return_inverse=True)
        rows[name] = np.array([facts.place(texts[place]) for place in places], np.int32)[inverse]
    facts.table[known] = rows
    return known, len(old)


def _content(kept: Path) -> tuple[np.ndarray, np.ndarray, list[str]] | None:
    """Keys, table and texts of a file; None where there is none that this program wrote."""
    if (data := read_kept(kept)) is None:
        return None
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        if file["about"].item() != _about():
            return None
        return file["keys"], file["table"], file["texts"].tolist()


def _save(kept: Path, keys: np.ndarray, facts: Facts, rows: np.ndarray) -> None:
    rows = np.flatnonzero(rows & ~facts.bad)
    rows = rows[np.argsort(keys[rows, 0])]
    _write(kept, keys[rows], facts.table[rows], facts.texts)


def _write(kept: Path, keys: np.ndarray, table: np.ndarray, texts: list[str]) -> None:
    content = io.BytesIO()
    np.savez(content, about=_about(), keys=keys, table=table, texts=np.array(texts, np.str_))
    keep(kept, content.getbuffer(), "the images are")
