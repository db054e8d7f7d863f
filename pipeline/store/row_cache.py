"""The row cache: every row that was ever computed, found again by (feature key, digest of the image file).

    <root>/rows/<feature key>/<content>.rows   immutable shards (row_shard.py)
    <root>/rows/<feature key>/shape.json       what a row is, seen as an array (row_shape.py)
    <root>/writers/<writer>/                   a running extraction: its lock, claims and unfinished shard

A shard is written in its writer's folder, synced, and renamed into place, so it is whole or not there. A
writer holds a lock on its folder that the kernel takes away when the process dies, however it dies; what
a dead writer left is swept by the next one. Where the file system has no locks, writers do not share the
work: each computes all that it lacks, and a row that is there twice does no harm.

A cache may read others besides, which it never writes to: of a colleague, or on a read-only mount.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files.atomic import sync_directory
from ..files.locks import locked, take_lock
from .feature_key import FeatureKey
from .layer_shape import LayerShape
from .row_shape import read_shape, write_shape
from .row_shard import SUFFIX, DamagedShard, Shard, read_shard, write_shard

_DAMAGED = ".damaged"
_WHO = "who"
_log = logging.getLogger(__name__)


class StoredRows:
    """The rows of one feature key: which images they are of, and where each one is."""

    def __init__(self, folder: Path, key: FeatureKey, others: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.key = key
        self.shards: list[Shard] = []
        self._folders = (folder, *others)
        self._damaged: list[tuple[Path, str]] = []
        self._seen: set[Path] = set()
        self._high = np.empty(0, np.uint64)
        self._low = np.empty(0, np.uint64)
        self._place = np.empty((0, 2), np.int64)
        self.refresh()

    def refresh(self) -> None:
        """Take in the shards that have appeared since."""
        new = sorted({path for folder in self._folders for path in _shards_in(folder)} - self._seen)
        for path in new:
            self._seen.add(path)
            try:
                shard = read_shard(path)
                if shard.key != self.key:
                    raise DamagedShard("it belongs to another feature key")
                self.shards.append(shard)
            except DamagedShard as error:
                self._damaged.append((path, str(error)))
            except FileNotFoundError:
                continue
        if new:
            self._index()

    def drop(self, shard: Shard) -> None:
        """Forget a shard; one of the same name may come to replace it."""
        self.shards.remove(shard)
        if self.is_own(shard.path):  # of another cache it stays where it is, and damaged
            self._seen.discard(shard.path)
        self._index()

    def take_damaged(self) -> list[tuple[Path, str]]:
        """The damaged shards found so far and what is wrong with them; forgotten by this."""
        damaged, self._damaged = self._damaged, []
        self._seen -= {path for path, _ in damaged if self.is_own(path)}
        return damaged

    def is_own(self, path: Path) -> bool:
        """Whether a shard is this cache's own, not that of a cache which is only read."""
        return path.parent == self.folder

    def _index(self) -> None:
        digests = np.concatenate([np.empty((0, 16), np.uint8), *(shard.digests for shard in self.shards)])
        lengths = [len(shard) for shard in self.shards]
        place = np.empty((len(digests), 2), np.int64)
        place[:, 0] = np.repeat(np.arange(len(lengths)), lengths)
        place[:, 1] = np.concatenate([np.arange(0), *(np.arange(length) for length in lengths)])
        high, low = _halves(digests)
        order = np.lexsort((low, high))
        self._high, self._low, self._place = high[order], low[order], place[order]

    def find(self, digests: np.ndarray) -> np.ndarray:
        """Where rows are.

        Parameters
        ----------
        digests : (n, 16) uint8

        Returns
        -------
        (n, 2) int64
            Number of the shard in `shards` and row in it; -1, -1 for an image without a row.
        """
        found = np.full((len(digests), 2), -1, np.int64)
        high, low = _halves(digests)
        at = np.searchsorted(self._high, high)
        open_ = np.flatnonzero(at < len(self._high))
        while len(open_):  # more than one round only where two digests share their first eight bytes
            here = at[open_]
            open_, here = open_[same := self._high[here] == high[open_]], here[same]
            hit = self._low[here] == low[open_]
            found[open_[hit]] = self._place[here[hit]]
            open_ = open_[~hit]
            at[open_] += 1
            open_ = open_[at[open_] < len(self._high)]
        return found

    @property
    def width(self) -> int | None:
        """Values of a row; None where there is none yet."""
        return self.shards[0].width if self.shards else None

    @property
    def shape(self) -> LayerShape | None:
        """What a row is, seen as an array; None where no cache says so, or what it says is damaged."""
        shapes = (read_shape(folder) for folder in self._folders)
        return next((shape for shape in shapes if shape and self.width in (None, shape.width)), None)

    def gather(self, places: np.ndarray) -> np.ndarray:
        """Rows from their places, as `find` gives them: (n, width) array of the key's dtype.

        No more than one shard is mapped at a time, so memory does not grow with the cache.
        """
        rows = np.empty((len(places), self.width or 0), np.dtype(self.key.dtype))
        for number in np.unique(places[:, 0]):
            mask = places[:, 0] == number
            rows[mask] = self.shards[number].map()[places[mask, 1]]
        return rows


def _shards_in(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        yield from (folder / entry.name for entry in os.scandir(folder) if entry.name.endswith(SUFFIX))


def _halves(digests: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    halves = np.ascontiguousarray(digests).view(np.uint64)
    return halves[:, 0], halves[:, 1]


def is_in(digests: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the (n, 16) digests are among `others`: (n,) bool."""
    kind = np.dtype([("high", np.uint64), ("low", np.uint64)])
    return np.isin(
        np.ascontiguousarray(digests).view(kind).ravel(), np.ascontiguousarray(others).view(kind).ravel()
    )


class RowCache:
    """A row cache in a folder.

    Reading needs no more than this; to add rows, enter `writer()`.

    Parameters
    ----------
    root : path
    read_also : sequence of path
        Further caches, whose rows are read; they are never written to.
    """

    def __init__(self, root: Path | str, read_also: Sequence[Path] = ()) -> None:
        self.root, self.read_also = Path(root), tuple(read_also)

    def rows(self, key: FeatureKey) -> StoredRows:
        """The rows of a feature key, as they are now."""
        folder, *others = self.folders_of(key)
        return StoredRows(folder, key, others)

    def folders_of(self, key: FeatureKey) -> list[Path]:
        """Where a key's rows are, if there are any: this cache's own folder, then those of `read_also`."""
        return [root / "rows" / key.hex for root in (self.root, *self.read_also)]

    @contextlib.contextmanager
    def writer(self) -> Iterator[CacheWriter]:
        """Join the running writers of this cache; sweeps what dead ones left."""
        writers = self._writers()
        with locked(writers / ".lock"):
            _sweep(writers)
            folder = writers / uuid.uuid4().hex
            folder.mkdir()
            lock = take_lock(folder / "lock")
            (folder / _WHO).write_text(f"process {os.getpid()} on {socket.gethostname()}")
        try:
            yield CacheWriter(self, folder, shares=lock.is_real)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()

    def folders(self) -> list[Path]:
        """The folder of every feature key, in order of name."""
        rows = self.root / "rows"
        # not glob, which passes over folders that it may not read
        return sorted(path for path in rows.iterdir() if path.is_dir()) if rows.is_dir() else []

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Keep writers out; `UserError` if one is at work."""
        writers = self._writers()
        with locked(writers / ".lock") as lock:
            if running := _sweep(writers):
                remedy = "run again when it is done" if lock.is_real else f"if none is, remove {writers}"
                raise UserError(f"{self.root}: {running} extraction at work on this cache; {remedy}")
            yield

    def _writers(self) -> Path:
        writers = self.root / "writers"
        try:
            writers.mkdir(parents=True, exist_ok=True)
            (writers / ".lock").touch()
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise
            raise UserError(
                f"{self.root}: this row cache cannot be written ({error.strerror}); list it in "
                "extract.read_also and give extract.cache a folder of your own"
            ) from None
        return writers


class CacheWriter:
    """A running extraction's hold on the cache."""

    def __init__(self, cache: RowCache, folder: Path, *, shares: bool) -> None:
        self.root = cache.root
        self._cache, self._folder, self._shares = cache, folder, shares
        self._claims = 0

    def rows(self, key: FeatureKey) -> StoredRows:
        """The rows of a feature key; damaged shards are set aside and told."""
        stored = self._cache.rows(key)
        self.set_aside(stored)
        return stored

    def set_aside(self, stored: StoredRows) -> None:
        """Put damaged shards out of the way, so that their rows are computed again."""
        for path, problem in stored.take_damaged():
            _put_aside(path, problem, stored.is_own(path))

    def check(self, stored: StoredRows, digests: np.ndarray) -> None:
        """Check every shard that holds a row of some images; damaged ones are set aside and told."""
        numbers = np.unique(stored.find(digests)[:, 0])
        for shard in [stored.shards[number] for number in numbers if number >= 0]:
            if shard.is_intact():
                with contextlib.suppress(OSError):  # of another owner: then it looks older than it is
                    os.utime(shard.path)  # what `shrink_to` goes by
            else:
                stored.drop(shard)
                _put_aside(shard.path, "its rows are damaged", stored.is_own(shard.path))

    def add(self, key: FeatureKey, digests: np.ndarray, rows: np.ndarray) -> None:
        """Store rows for good: when this returns, a power cut does not lose them.

        Parameters
        ----------
        digests : (n, 16) uint8
        rows : (n, D) array of the key's dtype
        """
        if len(rows) == 0:
            return
        self._put(key, lambda temporary: write_shard(temporary, key, digests, rows))

    def keep_shape(self, key: FeatureKey, shape: LayerShape) -> None:
        """Keep what a row of a key is, for runs that ask no network."""
        if all(read_shape(folder) != shape for folder in self._cache.folders_of(key)):
            self._put(key, lambda temporary: write_shape(temporary, key, shape))

    def _put(self, key: FeatureKey, write: Callable[[Path], str]) -> None:
        """Put a file beside a key's shards, whole or not at all, under the name that `write` gives."""
        folder = self.root / "rows" / key.hex
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_directory(folder.parent)
        temporary = self._folder / "unfinished.tmp"
        try:
            name = write(temporary)
            temporary.replace(folder / name)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            error.filename = error.filename or str(folder)
            raise
        sync_directory(folder)

    def claim(
        self, stored: Mapping[Any, StoredRows], digests: np.ndarray, limit: int
    ) -> tuple[Path | None, np.ndarray, int]:
        """Take some images to compute that no other writer is computing.

        Parameters
        ----------
        stored : {layer: StoredRows}
            Refreshed on the way.
        digests : (n, 16) uint8
            Images that may lack a row of any of these keys.
        limit : int
            How many to take at most.

        Returns
        -------
        claim : Path or None
            For `release`, once the rows are stored.
        taken : (at most limit,) int64
            Positions in `digests`, in order.
        waiting : int
            How many images lack a row that other writers are at.
        """
        with locked(self.root / "writers" / ".lock"):
            claims = self._claims_of_others()
            for rows in stored.values():  # after the claims: a writer stores before it releases
                rows.refresh()
                self.set_aside(rows)
            missing = np.zeros(len(digests), bool)
            busy = np.zeros(len(digests), bool)
            for rows in stored.values():
                absent = rows.find(digests)[:, 0] < 0
                missing |= absent
                if rows.key.hex in claims:
                    busy |= absent & is_in(digests, claims[rows.key.hex])
            taken = np.flatnonzero(missing & ~busy)[:limit]
            if not len(taken):
                return None, taken, int(np.count_nonzero(missing & busy))
            self._claims += 1
            claim = self._folder / f"claim-{self._claims}"
            names = " ".join(rows.key.hex for rows in stored.values())
            claim.write_bytes(names.encode() + b"\n" + digests[taken].tobytes())
            return claim, taken, int(np.count_nonzero(missing & busy))

    def release(self, claim: Path) -> None:
        """Give up a claim: its rows are stored, or will not be computed."""
        claim.unlink(missing_ok=True)

    def _claims_of_others(self) -> dict[str, np.ndarray]:
        """{feature key: (n, 16) digests} that living writers are computing."""
        found: dict[str, list[np.ndarray]] = {}
        _sweep(self._folder.parent)
        for path in self._others_claims():
            with contextlib.suppress(FileNotFoundError):
                names, _, data = path.read_bytes().partition(b"\n")
                digests = np.frombuffer(data, np.uint8).reshape(-1, 16)
                for name in names.decode().split():
                    found.setdefault(name, []).append(digests)
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def who_is_at_work(self) -> str:
        """The other writers that hold claims, in words."""
        folders = sorted({path.parent for path in self._others_claims()})
        names = []
        for folder in folders:
            with contextlib.suppress(FileNotFoundError):
                names.append((folder / _WHO).read_text())
        return ", ".join(names) or "another run"

    def _others_claims(self) -> list[Path]:
        if not self._shares:  # a dead writer's claims could not be told from a living one's
            return []
        return [path for path in self._folder.parent.glob("*/claim-*") if path.parent != self._folder]


def _put_aside(path: Path, problem: str, is_own: bool) -> None:
    _log.warning("%s: %s; %sits rows are computed again", path, problem, "set aside, " if is_own else "")
    with contextlib.suppress(FileNotFoundError):
        if is_own:
            path.replace(path.with_name(path.name + _DAMAGED))


def _sweep(writers: Path) -> int:
    """Remove the folders of dead writers; gives the number of living ones. Call it under the lock."""
    living = 0
    for folder in writers.iterdir():
        if not folder.is_dir():
            continue
        try:
            lock = take_lock(folder / "lock", wait=False)
        except BlockingIOError:
            living += 1
            continue
        except FileNotFoundError:  # it has just ended
            continue
        except PermissionError:  # of another user
            living += 1
            continue
        if lock.is_real:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            living += 1
        lock.close()
    return living
