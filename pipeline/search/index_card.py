"""What stands in the JSON beside an index, and whether the two are as they were written. Knows no FAISS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ..errors import UserError
from ..files.atomic import write_text
from ..files.digests import digest_of, sha256_of_file
from ..params import Metric


class IndexCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an index was built from, how to search it, and its file's SHA-256; `digest` is of all the rest."""

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
    index_bytes: int = 0
    index_sha256: str = ""
    digest: str = ""


def write_card(path: Path, card: IndexCard) -> IndexCard:
    """Write the card of the index at `path` (.faiss), which is there; returns the card as written."""
    card = msgspec.structs.replace(card, index_bytes=path.stat().st_size, index_sha256=sha256_of_file(path))
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


def check_file(path: Path, card: IndexCard) -> None:
    """Refuse an index file whose bytes are not those that were written.

    It is hashed each time: FAISS believes what it reads, other neighbors come out of other bytes or the
    process ends, and SHA-256 takes a third of the time in which FAISS reads the same file.
    """
    try:
        size = path.stat().st_size
        sound = size == card.index_bytes and sha256_of_file(path) == card.index_sha256
    except FileNotFoundError:
        raise UserError(f"{path}: no such index", rerun="index") from None
    if not sound:
        there = (
            f"{size} bytes, not {card.index_bytes}" if size != card.index_bytes else "other bytes than were"
        )
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
