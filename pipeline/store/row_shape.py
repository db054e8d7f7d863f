"""What the rows of a feature key are, seen as arrays: kept beside their shards in the row cache.

A run whose rows are all in the cache builds no network, so what only the network can tell is kept as well.
Like a shard it says which key it belongs to, and has a checksum: whatever is not as it was written counts as
not there, and is asked of the network again.
"""

from __future__ import annotations

import hashlib

import msgspec

from .feature_key import FeatureKey
from .layer_shape import LayerShape
from .shard_store import ShardStore

FILE = "shape.json"
_MOST_BYTES = 1 << 20


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    feature_key: str
    sha256: str
    shape: LayerShape


def encode_shape(key: FeatureKey, shape: LayerShape) -> bytes:
    """The bytes of a shape's file."""
    return msgspec.json.encode(_Kept(key.hex, _digest_of(key.hex, shape), shape), order="sorted")


def read_shape(store: ShardStore, folder: str) -> LayerShape | None:
    """The shape in the folder that is named by its key's digest; None if there is none, or it is damaged."""
    try:
        kept = msgspec.json.decode(store.read(f"{folder}/{FILE}", 0, _MOST_BYTES), type=_Kept)
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
        return None
    name = folder.rpartition("/")[2]
    sound = kept.feature_key == name and kept.sha256 == _digest_of(name, kept.shape)
    return kept.shape if sound else None


def _digest_of(key_digest: str, shape: LayerShape) -> str:
    return hashlib.sha256(f"{key_digest} {shape.json()}".encode()).hexdigest()
