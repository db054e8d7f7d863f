"""What stands in the JSON beside an index, and whether the two are as they were written.

Knows neither FAISS, whose index is a file, nor Lance, whose index is a folder of files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ..errors import UserError
from ..files.atomic import write_text
from ..files.digests import digest_of, sha256_of, size_of
from ..params import Metric
from ..store.feature_file import FeatureFile


class IndexCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an index was built from, how to search it, and its SHA-256; `digest` is of all the rest."""

    format: str = "pool5-index"
    format_version: int = 2
    model: str
    layer: str
    split: str
    rows: int
    width: int
    feature_key: str
    ids_digest: str
    layer_digest: str
    factory: str
    reason: str  # why this factory
    metric: Metric
    normalized: bool  # cosine is the inner product of vectors of length one
    seed: int
    training_rows: int
    search: dict[str, int]  # the recommended setting
    faiss: str  # its version
    trained_on: str | msgspec.UnsetType = msgspec.UNSET  # `cuda`, if it was trained and filled there
    lance: str | msgspec.UnsetType = msgspec.UNSET  # that of Lance, if it is Lance that holds the index
    index_bytes: int = 0
    index_sha256: str = ""
    digest: str = ""


def describe(features: FeatureFile, layer: str, metric: Metric, **fields: Any) -> IndexCard:
    """The card of an index over `layer` of `features`; `fields` are those that the features do not tell."""
    rows, width = features.layer(layer).shape
    return IndexCard(
        model=features.model,
        layer=layer,
        split=features.split,
        rows=rows,
        width=width,
        feature_key=features.key_digest(layer),
        ids_digest=features.ids_digest,
        layer_digest=features.layer_digest(layer),
        metric=metric,
        normalized=metric == "cosine",
        **fields,
    )


def write_card(path: Path, card: IndexCard) -> IndexCard:
    """Write the card of the index at `path` (.faiss), which is there; returns the card as written."""
    card = msgspec.structs.replace(card, index_bytes=size_of(path), index_sha256=sha256_of(path))
    card = msgspec.structs.replace(card, digest=_digest(card))
    text = msgspec.json.format(msgspec.json.encode(card, order="sorted"), indent=2)
    write_text(path.with_suffix(".json"), text.decode() + "\n")
    return card


def read_card(path: Path | str) -> IndexCard:
    """Read the card of the index at `path` (.faiss); `UserError` if there is none, or it is damaged."""
    card_path = Path(path).with_suffix(".json")
    again: dict[str, Any] = {"rerun": "index", "force": True}
    try:
        card = msgspec.json.decode(card_path.read_bytes(), type=IndexCard)
    except FileNotFoundError:
        raise UserError(f"{card_path}: no such file", rerun="index") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise UserError(f"{card_path}: not the card of an index ({error})", **again) from None
    if card.digest != _digest(card):
        raise UserError(f"{card_path}: damaged: it is not as it was written", **again)
    return card


def read_card_of(path: Path, features: FeatureFile, layer: str, metric: Metric) -> IndexCard:
    """Read the card of the index at `path`; `UserError` if it was built from anything else than these."""
    card = read_card(path)
    here = {
        "feature_key": features.key_digest(layer),
        "ids_digest": features.ids_digest,
        "layer_digest": features.layer_digest(layer),
        "metric": metric,
    }
    for name, what in [
        ("feature_key", "other features"),
        ("ids_digest", "other images"),
        ("layer_digest", "other values"),
        ("metric", "another metric"),
    ]:
        if (there := getattr(card, name)) != here[name]:
            raise UserError(
                f"{path}: built from {what} ({card.model}/{card.layer} on {card.split}: {name} {there[:12]}, "
                f"not {here[name][:12]})",
                rerun="index",
            )
    return card


def check_file(path: Path, card: IndexCard, *, hashed: bool = True) -> None:
    """Refuse an index whose bytes are not those that were written.

    A file is hashed each time: FAISS believes what it reads, other neighbors come out of other bytes or the
    process ends, and SHA-256 takes a third of the time in which FAISS reads the same file. A folder of Lance
    is not read whole to be searched, so its size alone is looked at (not `hashed`) but by `verify_index`.
    """
    if not path.exists():
        raise UserError(f"{path}: no such index", rerun="index")
    size = size_of(path)
    if size != card.index_bytes:
        there = f"{size} bytes, not {card.index_bytes}"
    elif hashed and sha256_of(path) != card.index_sha256:
        there = "other bytes than were"
    else:
        return
    raise UserError(f"{path}: damaged: {there} written", rerun="index", force=True)


def verify_index(path: Path) -> list[str]:
    """What is damaged in an index or its card: one line, or none."""
    try:
        check_file(path, read_card(path))
    except UserError as error:
        return [str(error)]
    return []


def _digest(card: IndexCard) -> str:
    return digest_of(msgspec.to_builtins(msgspec.structs.replace(card, digest="")))
