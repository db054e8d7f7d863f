"""Computed rows on their way into the row cache: gathered, and stored while further ones are computed."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Mapping, Sequence

import numpy as np

from ..params import Layer
from ..store.feature_key import FeatureKey
from ..store.row_cache import CacheWriter
from .stored_rows import Stored

_NONE = np.empty(0, np.int64)


class RowWriter:
    """Gathers rows, and stores them in a thread, so that nothing that computes waits for a disk.

    At most one portion is being stored while the next is gathered. All but `CacheWriter.add` is done by the
    thread that calls.

    Parameters
    ----------
    writer : CacheWriter
    keys : {layer: FeatureKey}
    stored : {layer: StoredRows}
        Of the images; refreshed when rows have been stored.
    digests : (N, 16) uint8
        Of the images, by number.

    Attributes
    ----------
    held : int
        Bytes of the rows that are gathered.
    """

    def __init__(
        self, writer: CacheWriter, keys: Mapping[Layer, FeatureKey], stored: Stored, digests: np.ndarray
    ) -> None:
        self.held = 0
        self._writer, self._keys, self._stored, self._digests = writer, keys, stored, digests
        self._gathered: list[tuple[np.ndarray, Mapping[Layer, np.ndarray]]] = []
        self._thread = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="rows")
        self._at_work: tuple[concurrent.futures.Future[None], np.ndarray] | None = None

    def gather(self, numbers: np.ndarray, rows: Mapping[Layer, np.ndarray]) -> None:
        """Take {layer: (n, D) array} of images with those numbers, (n,) int64."""
        self._gathered.append((numbers, rows))
        self.held += sum(values.nbytes for values in rows.values())

    def begin(self, device: str) -> None:
        """Begin to store what is gathered, of a kind of device; what was begun before has been waited for."""
        gathered, self._gathered, self.held = self._gathered, [], 0
        if gathered:
            numbers = np.concatenate([some for some, _ in gathered])
            # another layer's rows of these images may have been there before
            absent = {key: rows.find(self._digests[numbers])[:, 0] < 0 for key, rows in self._stored.items()}
            batches = [rows for _, rows in gathered]
            self._at_work = self._thread.submit(self._store, numbers, batches, absent, device), numbers

    def stored(self, *, wait: bool) -> np.ndarray:
        """The numbers of the images whose rows were begun with and are stored for good by now: (n,) int64.

        Raises
        ------
        OSError, UserError
            As `CacheWriter.add`, if they could not be stored.
        """
        if self._at_work is None or not (wait or self._at_work[0].done()):
            return _NONE
        storing, numbers = self._at_work
        concurrent.futures.wait([storing])
        self._at_work = None
        storing.result()
        for rows in self._stored.values():
            rows.refresh()
        return numbers

    def _store(
        self,
        numbers: np.ndarray,
        batches: Sequence[Mapping[Layer, np.ndarray]],
        absent: Mapping[Layer, np.ndarray],
        device: str,
    ) -> None:
        for layer, key in self._keys.items():
            rows, digests = np.concatenate([batch[layer] for batch in batches]), self._digests[numbers]
            if not absent[layer].all():
                rows, digests = rows[absent[layer]], digests[absent[layer]]
            self._writer.add(key, digests, rows, device)
