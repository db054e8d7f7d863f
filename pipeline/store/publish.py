"""Publishing: from the row cache to a feature file, in the order of the manifest."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import UserError
from ..files.atomic import UNFINISHED
from ..files.locks import locked
from .feature_writer import FileHead, LayerSource, stream_feature_file
from .row_cache import StoredRows


def publish(path: Path | str, head: FileHead, layers: Mapping[str, StoredRows]) -> None:
    """Write the feature file of `head.ids` from rows that the cache holds; whole or not at all.

    Parameters
    ----------
    layers : {layer: StoredRows}
        Each holds a row for every digest of `head`.

    Raises
    ------
    UserError
        If a row is not in the cache (any more).
    """
    sources = {name: _source(name, stored, head) for name, stored in layers.items()}
    stream_feature_file(path, head, sources)


def _source(layer: str, stored: StoredRows, head: FileHead) -> LayerSource:
    places = stored.find(head.digests)
    if (places < 0).any():
        lost = head.ids[places[:, 0] < 0][0]
        raise UserError(f"{stored.folder}: the row of {lost} ({layer}) is gone from the cache; run again")
    return LayerSource(
        stored.key, stored.width or 0, lambda start, stop: stored.gather(places[start:stop]), stored.shape
    )


@contextlib.contextmanager
def publishing_to(folder: Path, locks: Path) -> Iterator[None]:
    """Publish to `folder` alone: a second run waits for this one; what a killed one left there is swept.

    Parameters
    ----------
    locks : Path
        A folder for locks, as `folder` is to hold nothing but what is published.
    """
    locks.mkdir(parents=True, exist_ok=True)
    name = hashlib.blake2b(os.fsencode(folder.absolute()), digest_size=8).hexdigest()
    with locked(locks / f"{name}.lock") as lock:
        if lock.is_real:  # else it may be another's that is being written
            for leftover in [*folder.glob(f".*{UNFINISHED}"), *folder.glob(".*.tmp")]:  # as 0.1 called them
                if leftover.is_dir():  # of parts
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()
        yield
