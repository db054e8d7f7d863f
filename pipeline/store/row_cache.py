"""The row cache: every row that was ever computed, found again by (feature key, digest of the image file).

    <root>/rows/<feature key>/<content>.rows   immutable shards (row_shard.py)
    <root>/writers/<writer>/                   a running extraction: its lock, claims and unfinished shard

A shard is written in its writer's folder, synced, and renamed into place, so it is whole or not there. A
writer holds a lock on its folder that the kernel takes away when the process dies, however it dies; what
a dead writer left is swept by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files.atomic import sync_directory
from .feature_key import FeatureKey
from .row_shard import SUFFIX, DamagedShard, Shard, read_shard, write_shard

_DAMAGED = ".damaged"
_log = logging.getLogger(__name__)


class StoredRows:
    """The rows of one feature key: which images they are of, and where each one is."""

    def __init__(self, folder: Path, key: FeatureKey) -> None:
        self.folder = folder
        self.key = key
        self.shards: list[Shard] = []
        self._damaged: list[tuple[Path, str]] = []
        self._seen: set[str] = set()
        self._high = np.empty(0, np.uint64)
        self._low = np.empty(0, np.uint64)
        self._place = np.empty((0, 2), np.int64)
        self.refresh()

    def refresh(self) -> None:
        """Take in the shards that have appeared since."""
        try:
            names = {entry.name for entry in os.scandir(self.folder) if entry.name.endswith(SUFFIX)}
        except FileNotFoundError:
            return
        new = sorted(names - self._seen)
        for name in new:
            self._seen.add(name)
            try:
                shard = read_shard(self.folder / name)
                if shard.key != self.key:
                    raise DamagedShard("it belongs to another feature key")
                self.shards.append(shard)
            except DamagedShard as error:
                self._damaged.append((self.folder / name, str(error)))
            except FileNotFoundError:
                continue
        if new:
            self._index()

    def drop(self, shard: Shard) -> None:
        """Forget a shard; one of the same name may come to replace it."""
        self.shards.remove(shard)
        self._seen.discard(shard.path.name)
        self._index()

    def take_damaged(self) -> list[tuple[Path, str]]:
        """The damaged shards found so far and what is wrong with them; forgotten by this."""
        damaged, self._damaged = self._damaged, []
        self._seen -= {path.name for path, _ in damaged}
        return damaged

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

    def gather(self, places: np.ndarray) -> np.ndarray:
        """Rows from their places, as `find` gives them: (n, width) array of the key's dtype.

        No more than one shard is mapped at a time, so memory does not grow with the cache.
        """
        rows = np.empty((len(places), self.width or 0), np.dtype(self.key.dtype))
        for number in np.unique(places[:, 0]):
            mask = places[:, 0] == number
            rows[mask] = self.shards[number].map()[places[mask, 1]]
        return rows


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
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def rows(self, key: FeatureKey) -> StoredRows:
        """The rows of a feature key, as they are now."""
        return StoredRows(self.root / "rows" / key.hex, key)

    @contextlib.contextmanager
    def writer(self) -> Iterator[CacheWriter]:
        """Join the running writers of this cache; sweeps what dead ones left."""
        writers = self.root / "writers"
        writers.mkdir(parents=True, exist_ok=True)
        with _locked(writers / ".lock"):
            _sweep(writers)
            folder = writers / uuid.uuid4().hex
            folder.mkdir()
            lock = _lock(folder / "lock", fcntl.LOCK_EX)
        try:
            yield CacheWriter(self.root, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def folders(self) -> list[Path]:
        """The folder of every feature key, in order of name."""
        rows = self.root / "rows"
        # not glob, which passes over folders that it may not read
        return sorted(path for path in rows.iterdir() if path.is_dir()) if rows.is_dir() else []

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Keep writers out; `UserError` if one is at work."""
        writers = self.root / "writers"
        writers.mkdir(parents=True, exist_ok=True)
        with _locked(writers / ".lock"):
            if running := _sweep(writers):
                raise UserError(
                    f"{self.root}: {running} extraction at work on this cache; run again when it is done"
                )
            yield


class CacheWriter:
    """A running extraction's hold on the cache."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self._folder = folder
        self._claims = 0

    def rows(self, key: FeatureKey) -> StoredRows:
        """The rows of a feature key; damaged shards are set aside and told."""
        stored = RowCache(self.root).rows(key)
        self.set_aside(stored)
        return stored

    def set_aside(self, stored: StoredRows) -> None:
        """Put damaged shards out of the way, so that their rows are computed again."""
        for path, problem in stored.take_damaged():
            _put_aside(path, problem)

    def check(self, stored: StoredRows, digests: np.ndarray) -> None:
        """Check every shard that holds a row of some images; damaged ones are set aside and told."""
        numbers = np.unique(stored.find(digests)[:, 0])
        for shard in [stored.shards[number] for number in numbers if number >= 0]:
            if shard.is_intact():
                with contextlib.suppress(OSError):  # of another owner: then it looks older than it is
                    os.utime(shard.path)  # what `shrink_to` goes by
            else:
                stored.drop(shard)
                _put_aside(shard.path, "its rows are damaged")

    def add(self, key: FeatureKey, digests: np.ndarray, rows: np.ndarray) -> None:
        """Store rows for good: when this returns, a power cut does not lose them.

        Parameters
        ----------
        digests : (n, 16) uint8
        rows : (n, D) array of the key's dtype
        """
        if len(rows) == 0:
            return
        folder = self.root / "rows" / key.hex
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_directory(folder.parent)
        temporary = self._folder / "shard.tmp"
        try:
            name = write_shard(temporary, key, digests, rows)
            temporary.replace(folder / name)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            error.filename = error.filename or str(folder)
            raise
        sync_directory(folder)

    def claim(
        self, stored: Mapping[str, StoredRows], digests: np.ndarray, limit: int
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
        with _locked(self.root / "writers" / ".lock"):
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
        for path in self._folder.parent.glob("*/claim-*"):
            if path.parent == self._folder:
                continue
            with contextlib.suppress(FileNotFoundError):
                names, _, data = path.read_bytes().partition(b"\n")
                digests = np.frombuffer(data, np.uint8).reshape(-1, 16)
                for name in names.decode().split():
                    found.setdefault(name, []).append(digests)
        return {name: np.concatenate(parts) for name, parts in found.items()}


def _put_aside(path: Path, problem: str) -> None:
    _log.warning("%s: %s; set aside, its rows are computed again", path, problem)
    with contextlib.suppress(FileNotFoundError):
        path.replace(path.with_name(path.name + _DAMAGED))


def _sweep(writers: Path) -> int:
    """Remove the folders of dead writers; gives the number of living ones. Call it under the lock."""
    living = 0
    for folder in writers.iterdir():
        if not folder.is_dir():
            continue
        try:
            lock = _lock(folder / "lock", fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            living += 1
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
    return living


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def _lock(path: Path, kind: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, kind)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
