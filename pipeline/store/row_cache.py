"""The row cache: every row that was ever computed, found again by (feature key, digest of the image file).

    <root>/rows/<feature key>/<content>.rows   immutable shards (row_shard.py)
    <root>/rows/<feature key>/shape.json       what a row is, seen as an array (row_shape.py)
    <root>/writers/<writer>/                   a running extraction: its claims (writers.py)

The root is a folder or a bucket (shard_store.py). A shard is whole or not there, and what is read of it is
checked. A cache may read others besides, which it never writes to: of a colleague, or on a read-only mount.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .feature_key import FeatureKey
from .layer_shape import LayerShape
from .row_index import RowIndex
from .row_shape import FILE, encode_shape, read_shape
from .row_shard import SUFFIX, DamagedShard, Shard, Table, encode_shard, read_shard
from .shard_store import Entry, ShardStore, in_parallel, open_store
from .writers import Hold, exclusively, join, who_is

DAMAGED = ".damaged"
_log = logging.getLogger(__name__)


class StoredRows:
    """The rows of one feature key: which images they are of, and where each one is.

    Parameters
    ----------
    stores : sequence of ShardStore
        The cache's own, then those that are only read.
    key : FeatureKey
    wanted : (m, 16) uint8, optional
        The images that will be asked for; without it, all that there are.
    unsound : set of str
        Shards of further caches that are passed over; those that turn out to be damaged are added.
    """

    def __init__(
        self,
        stores: Sequence[ShardStore],
        key: FeatureKey,
        wanted: np.ndarray | None = None,
        unsound: set[str] | None = None,
    ) -> None:
        self.key = key
        self._unsound = set() if unsound is None else unsound
        self._stores, self._folder = stores, folder_of(key)
        self._shards: dict[int, Shard] = {}
        self._seen: set[tuple[int, str]] = set()
        self._damaged: list[tuple[tuple[int, str], str]] = []
        self._used: set[int] = set()
        self._wanted = wanted
        self._index = RowIndex(wanted)
        self.refresh()

    @property
    def folder(self) -> str:
        """Where the cache's own shards are, for messages."""
        return self._stores[0].where(self._folder)

    @property
    def shards(self) -> list[Shard]:
        """All that can be read."""
        return list(self._shards.values())

    def refresh(self) -> None:
        """Take in the shards that have appeared since."""
        self._index.add(self._new_shards())

    def _new_shards(self) -> Iterator[tuple[int, Table]]:
        number = max(self._shards, default=-1)
        for place, store in enumerate(self._stores):
            listed = store.files(self._folder)
            new = sorted(n for n in listed if n.endswith(SUFFIX) and (place, n) not in self._seen)
            new = [n for n in new if store.where(f"{self._folder}/{n}") not in self._unsound]
            read_one = functools.partial(_tried, store, self.key)
            for name, read in zip(new, in_parallel(store, self._sized(new, listed), read_one), strict=True):
                self._seen.add((place, name))
                if isinstance(read, str):
                    self._damaged.append(((place, name), read))
                elif read is not None:
                    number += 1
                    self._shards[number], table = read
                    yield number, table

    def _sized(self, names: list[str], listed: Mapping[str, Entry]) -> Iterator[tuple[str, int]]:
        return ((f"{self._folder}/{name}", listed[name].size) for name in names)

    def drop(self, shard: Shard, problem: str) -> None:
        """Forget a shard that turned out to be damaged."""
        number = next((n for n, one in list(self._shards.items()) if one is shard), None)
        if number is None or self._shards.pop(number, None) is None:
            return  # another thread was first
        self._index.drop(number)
        place = next(n for n, store in enumerate(self._stores) if store is shard.store)
        if place:
            self._unsound.add(shard.where)
        self._damaged.append(((place, shard.name.rpartition("/")[2]), problem))

    def take_damaged(self) -> list[tuple[ShardStore, str, str, bool]]:
        """The damaged shards found so far: (store, name, what is wrong, whether it is the cache's own).

        They are forgotten by this; one of the same name may come to replace one of the cache's own.
        """
        damaged, self._damaged = self._damaged, []
        self._seen -= {where for where, _ in damaged if where[0] == 0}
        return [
            (self._stores[place], f"{self._folder}/{name}", problem, place == 0)
            for (place, name), problem in damaged
        ]

    def find(self, digests: np.ndarray) -> np.ndarray:
        """Where rows are.

        Of several rows of an image that of the kind of device is taken which has computed the most of the
        rows, so that a layer's values come from one kind wherever they can.

        Parameters
        ----------
        digests : (n, 16) uint8

        Returns
        -------
        (n, 2) int64
            Number of the shard, for `gather`, and row in it; -1, -1 for an image without a row.
        """
        computed = self.devices()
        order = sorted(
            self._shards, key=lambda n: (-computed.get(self._shards[n].device, 0), self._shards[n].where)
        )
        rank = np.zeros(max(order, default=-1) + 1, np.int64)
        rank[order] = np.arange(len(order))
        return self._index.find(digests, rank)

    def devices(self) -> Counter[str]:
        """How many of the wanted rows each kind of device has computed; '' where a shard does not say."""
        counts: Counter[str] = Counter()
        for number, rows in self._index.rows_of().items():
            counts[self._shards[number].device] += rows
        return counts

    def kinds(self) -> set[str]:
        """The kinds of device, as far as known, that computed what `find` takes of the wanted images."""
        if self._wanted is None:
            return set(self.devices()) - {""}
        numbers = np.unique(self.find(self._wanted)[:, 0]).tolist()
        return {self._shards[number].device for number in numbers if number >= 0} - {""}

    @property
    def width(self) -> int | None:
        """Values of a row; None where there is none yet."""
        return next((shard.width for shard in self._shards.values()), None)

    @property
    def shape(self) -> LayerShape | None:
        """What a row is, seen as an array; None where no cache says so, or what it says is damaged."""
        shapes = (read_shape(store, self._folder) for store in self._stores)
        return next((shape for shape in shapes if shape and self.width in (None, shape.width)), None)

    def gather(self, places: np.ndarray) -> np.ndarray:
        """Rows from their places, as `find` gives them: (n, width) array of the key's dtype.

        Raises
        ------
        DamagedShard
            If one of them is not as it was written. Its shard is dropped.

        Several threads may gather at once.
        """
        rows = np.empty((len(places), self.width or 0), np.dtype(self.key.dtype))
        for number in np.unique(places[:, 0]).tolist():
            mask = places[:, 0] == number
            shard = self._shards.get(number)
            if shard is None:  # several threads read when a layer is published in parts
                raise DamagedShard("found so by another thread")
            if shard.store is self._stores[0] and number not in self._used:
                self._used.add(number)
                shard.store.touch(shard.name)  # what a collection goes by
            try:
                rows[mask] = shard.take(places[mask, 1])
            except DamagedShard as error:
                self.drop(shard, str(error))
                raise
        return rows


def _tried(store: ShardStore, key: FeatureKey, file: tuple[str, int]) -> tuple[Shard, Table] | str | None:
    """A shard of a key, by name and size; what is wrong with it; or None where it is gone."""
    try:
        shard, table = read_shard(store, *file)
        return (shard, table) if shard.key == key else "it belongs to another feature key"
    except DamagedShard as error:
        return str(error)
    except FileNotFoundError:
        return None


def is_in(digests: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the (n, 16) digests are among `others`: (n,) bool."""
    kind = np.dtype([("high", np.uint64), ("low", np.uint64)])
    return np.isin(
        np.ascontiguousarray(digests).view(kind).ravel(), np.ascontiguousarray(others).view(kind).ravel()
    )


def folder_of(key: FeatureKey) -> str:
    """Where a key's shards are in a cache."""
    return f"rows/{key.hex}"


class RowCache:
    """A row cache in a folder or a bucket.

    Reading needs no more than this; to add rows, enter `writer()`.

    Parameters
    ----------
    root : path or address
    read_also : sequence of path or address
        Further caches, whose rows are read; they are never written to.
    """

    def __init__(self, root: Path | str, read_also: Sequence[Path | str] = ()) -> None:
        self.store = open_store(root)
        self._stores = [self.store, *map(open_store, read_also)]
        self._unsound: set[str] = set()

    def rows(self, key: FeatureKey, wanted: np.ndarray | None = None) -> StoredRows:
        """The rows of a feature key, as they are now; of the (m, 16) `wanted` images alone, if given."""
        return StoredRows(self._stores, key, wanted, self._unsound)

    def has_shape(self, key: FeatureKey, shape: LayerShape) -> bool:
        """Whether this cache, or one that it reads besides, says so of a key's rows."""
        return any(read_shape(store, folder_of(key)) == shape for store in self._stores)

    @contextlib.contextmanager
    def writer(self, *, claims: bool = True) -> Iterator[CacheWriter]:
        """Join the running writers of this cache; without `claims`, do not share the work with them."""
        with join(self.store, claims=claims) as hold:
            yield CacheWriter(self, hold)

    def folders(self) -> list[str]:
        """The folder of every feature key, in order of name."""
        return [f"rows/{name}" for name in self.store.folders("rows")]

    def exclusively(self) -> contextlib.AbstractContextManager[str]:
        """Keep writers out, and give a folder for what is unfinished; `UserError` if one is at work."""
        return exclusively(self.store)


class CacheWriter:
    """A running extraction's hold on the cache."""

    def __init__(self, cache: RowCache, hold: Hold) -> None:
        self._cache, self._hold, self._store = cache, hold, cache.store
        self._claims = 0

    def rows(self, key: FeatureKey, wanted: np.ndarray | None = None) -> StoredRows:
        """The rows of a feature key; damaged shards are set aside and told."""
        stored = self._cache.rows(key, wanted)
        self.set_aside(stored)
        return stored

    def set_aside(self, stored: StoredRows) -> None:
        """Put damaged shards out of the way, so that their rows are computed again."""
        for store, name, problem, own in stored.take_damaged():
            aside = "set aside, " if own else ""
            _log.warning("%s: %s; %sits rows are computed again", store.where(name), problem, aside)
            if own:
                with contextlib.suppress(FileNotFoundError):
                    store.move(name, name + DAMAGED)

    def add(self, key: FeatureKey, digests: np.ndarray, rows: np.ndarray, device: str = "") -> None:
        """Store rows for good: when this returns, a power cut does not lose them.

        Parameters
        ----------
        digests : (n, 16) uint8
        rows : (n, D) array of the key's dtype
        device : str
            The kind of device that computed them.
        """
        if len(rows):
            name, parts = encode_shard(key, digests, rows, device)
            self._store.put(f"{folder_of(key)}/{name}", parts, self._hold.folder)

    def keep_shape(self, key: FeatureKey, shape: LayerShape) -> None:
        """Keep what a row of a key is, for runs that ask no network."""
        if not self._cache.has_shape(key, shape):
            self._store.put(f"{folder_of(key)}/{FILE}", [encode_shape(key, shape)], self._hold.folder)

    def claim(
        self, stored: Mapping[Any, StoredRows], digests: np.ndarray, limit: int
    ) -> tuple[str | None, np.ndarray, int]:
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
        claim : str or None
            For `release`, once the rows are stored.
        taken : (at most limit,) int64
            Positions in `digests`, in order.
        waiting : int
            How many images lack a row that other writers are at.
        """
        with self._hold.turn():
            others = {name: claim for name, _, claim in self._others()}
            for rows in stored.values():  # after the claims: a writer stores before it releases
                rows.refresh()
                self.set_aside(rows)
            missing = np.zeros(len(digests), bool)
            busy = np.zeros(len(digests), bool)
            for rows in stored.values():
                absent = rows.find(digests)[:, 0] < 0
                missing |= absent
                busy |= absent & _claimed(others.values(), rows.key, digests)
            taken = np.flatnonzero(missing & ~busy)[:limit]
            waiting = int(np.count_nonzero(missing & busy))
            if not len(taken):
                return None, taken, waiting
            keys = [rows.key for rows in stored.values()]
            claim = self._put_claim(keys, digests[taken])
            if not self._hold.is_alone:
                lost = self._lost(claim, keys, digests[taken], set(others))
                if lost.any():
                    self.release(claim)
                    taken, waiting = taken[~lost], waiting + int(lost.sum())
                    if not len(taken):
                        return None, taken, waiting
                    claim = self._put_claim(keys, digests[taken])
            return claim, taken, waiting

    def release(self, claim: str) -> None:
        """Give up a claim: its rows are stored, or will not be computed."""
        self._store.remove(claim)

    def who_is_at_work(self) -> str:
        """The other writers that hold claims, in words."""
        return who_is(self._store, list(self._hold.others()))

    def _put_claim(self, keys: Sequence[FeatureKey], digests: np.ndarray) -> str:
        self._claims += 1
        claim = f"{self._hold.folder}/claim-{self._claims}"
        names = " ".join(key.hex for key in keys)
        self._store.put(claim, [names.encode() + b"\n" + digests.tobytes()], self._hold.folder)
        return claim

    def _others(self) -> Iterator[tuple[str, float, dict[str, np.ndarray]]]:
        """(claim, when it was made, {feature key: (n, 16) digests}) of what living writers are computing."""
        for folder, claims in self._hold.others().items():
            for claim, entry in claims.items():
                with contextlib.suppress(FileNotFoundError):
                    name = f"{folder}/{claim}"
                    keys, _, data = self._store.read(name, 0, entry.size).partition(b"\n")
                    digests = np.frombuffer(data, np.uint8).reshape(-1, 16)
                    yield name, entry.used, dict.fromkeys(keys.decode().split(), digests)

    def _lost(
        self, claim: str, keys: Sequence[FeatureKey], digests: np.ndarray, known: set[str]
    ) -> np.ndarray:
        """Which of the claimed images another writer has claimed at the same moment, and sooner."""
        folder, _, name = claim.rpartition("/")
        if (mine := self._store.files(folder).get(name)) is None:  # taken for dead, and swept: claim again
            return np.ones(len(digests), bool)
        own = mine.used, claim
        sooner = [
            named for other, used, named in self._others() if other not in known and (used, other) < own
        ]
        lost = np.zeros(len(digests), bool)
        for key in keys:
            lost |= _claimed(sooner, key, digests)
        return lost


def _claimed(claims: Any, key: FeatureKey, digests: np.ndarray) -> np.ndarray:
    """Which of the (n, 16) digests claims name for a key: (n,) bool."""
    named = [claim[key.hex] for claim in claims if key.hex in claim]
    return is_in(digests, np.concatenate(named)) if named else np.zeros(len(digests), bool)
