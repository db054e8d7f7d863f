"""A map that keeps its points: new images are placed into it, and those that are gone are taken out.

An image is placed by the images that the map was made of, and not by what was placed before (`place_points`),
so that its place does not depend on the order in which images came.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ...files.digests import digest_of
from ...files.json_file import write_json
from ...params.sections import Tsne
from ...results.record import load_record
from ...results.tsne_map import KeptMap, TsneResult
from ...search.kept_rows import row_digests
from .tsne import place_points

_MOST = 0.2  # of the images placed, or gone, beyond which the map is made anew
_PLACES = 5  # decimals of a point


@dataclasses.dataclass(frozen=True)
class EarlierMap:
    """A map of the same layer under the same settings, and the digest of each of its rows."""

    result: TsneResult
    digests: Sequence[str]

    @classmethod
    def load(cls, record: Path, rows: Path) -> EarlierMap:
        """A record, and what `save_rows` kept beside it."""
        return cls(load_record(TsneResult, record), msgspec.json.decode(rows.read_bytes())["rows"])


def save_rows(features: np.ndarray, about: Mapping[str, Any], path: Path) -> None:
    """Keep, beside a map, what it is of: `about`, and a digest of each row, in the order of its ids."""
    write_json(path, {"about": dict(about), "rows": [row.tobytes().hex() for row in row_digests(features)]})


def is_of(rows: Path, about: Mapping[str, Any]) -> bool:
    """Whether `save_rows` was told the same of a map."""
    try:
        return bool(msgspec.json.decode(rows.read_bytes())["about"] == dict(about))
    except (OSError, LookupError, TypeError, msgspec.DecodeError):
        return False


def decides_places(file: str, settings: Tsne) -> dict[str, Any]:
    """What has to be the same for a map to be kept, as plain JSON values; `file` names what it is of."""
    return {
        "of": file,
        "sample": settings.sample,
        "perplexity": settings.perplexity,
        "seed": settings.seed,
        "backend": settings.backend,
    }


def lasting_sample(digests: np.ndarray, size: int, seed: int) -> np.ndarray:
    """`size` rows in increasing order: those whose images have the lowest hashes.

    As random as a draw, but a new image puts one other out at most (bottom-k: Cohen and Kaplan 2007).

    Parameters
    ----------
    digests : (N, 16) uint8
        Of the images' bytes; of equal images the earlier comes first.
    """
    salt = seed.to_bytes(16, "little")
    hashes = [hashlib.blake2b(row.tobytes(), digest_size=8, salt=salt).digest() for row in digests]
    order = np.argsort(np.array(hashes, "S8") if hashes else np.empty(0), kind="stable")
    return np.sort(order[:size])


def as_made(ids: Sequence[str], points: Sequence[tuple[float, float]]) -> KeptMap:
    """Of a map that was just made."""
    return KeptMap(digest=digest_of({"ids": list(ids), "points": list(points)}), images=len(ids))


def keep_points(
    earlier: EarlierMap, ids: np.ndarray, features: np.ndarray
) -> tuple[np.ndarray, KeptMap] | str:
    """The points of some images on an earlier map, or a sentence that says why it cannot be kept.

    Parameters
    ----------
    earlier : EarlierMap
    ids : (N,) str
    features : (N, D) array

    Returns
    -------
    (N, 2) float64 points with five decimals, and what is placed of them
    """
    old = earlier.result
    kept = old.kept or as_made(old.ids, old.points)
    at = _places(earlier, ids.tolist(), row_digests(features))
    was_made = ~np.isin(old.ids, kept.placed) if old.ids else np.zeros(0, bool)
    made = (at >= 0) & np.append(was_made, False)[at]
    gone, placed = kept.images - int(made.sum()), len(ids) - int(made.sum())
    if gone > _MOST * kept.images:
        return f"{gone} of the {kept.images} images that it was made of are gone"
    if placed > _MOST * len(ids):
        return f"{placed} of {len(ids)} images are none that it was made of"
    points, new = np.array(old.points)[at], at < 0
    points[new] = np.round(place_points(features[new], features[made], points[made]), _PLACES)
    names = tuple(ids[~made].tolist())
    return points, KeptMap(digest=kept.digest, images=kept.images, gone=gone, placed=names)


def _places(earlier: EarlierMap, ids: Sequence[str], digests: np.ndarray) -> np.ndarray:
    """Where each image stands on the earlier map, or -1: by its id and its row, else by its row alone."""
    named = {key: place for place, key in enumerate(zip(earlier.result.ids, earlier.digests, strict=True))}
    rows = [row.tobytes().hex() for row in digests]
    at = [named.pop(key, -1) for key in zip(ids, rows, strict=True)]
    left = defaultdict(list)
    for (_, row), place in named.items():
        left[row].append(place)
    for number, row in enumerate(rows):
        if at[number] < 0 and left[row]:
            at[number] = left[row].pop(0)
    return np.array(at, np.int64)
