"""What the rows of a feature key are, seen as arrays: kept beside their shards in the row cache.

A run whose rows are all in the cache builds no network, so what only the network can tell is kept as well.
Like a shard it says which key it belongs to, and has a checksum: whatever is not as it was written counts as
not there, and is asked of the network again.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from .feature_key import FeatureKey
from .layer_shape import LayerShape

FILE = "shape.json"


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    feature_key: str
    sha256: str
    shape: LayerShape


def write_shape(path: Path, key: FeatureKey, shape: LayerShape) -> str:
    """Write a shape to `path` and sync it; gives the name that it has in the cache."""
    with path.open("wb") as file:
        file.write(msgspec.json.encode(_Kept(key.hex, _digest_of(key.hex, shape), shape), order="sorted"))
        file.flush()
        os.fsync(file.fileno())
    return FILE


def read_shape(folder: Path) -> LayerShape | None:
    """The shape in the folder that is named by its key's digest; None if there is none, or it is damaged."""
    try:
        kept = msgspec.json.decode((folder / FILE).read_bytes(), type=_Kept)
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
        return None
    sound = kept.feature_key == folder.name and kept.sha256 == _digest_of(folder.name, kept.shape)
    return kept.shape if sound else None


def _digest_of(key_digest: str, shape: LayerShape) -> str:
    return hashlib.sha256(f"{key_digest} {shape.json()}".encode()).hexdigest()
