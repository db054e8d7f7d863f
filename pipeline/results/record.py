"""How a result is kept: one typed record a file, written and read here and nowhere else.

The file is JSON: `{"kind", "record", "sha256", "version"}`, where `sha256` is of the record's text, so that
a record that was cut or edited is not believed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from ..errors import NotThere, UserError
from ..files.hints import did_you_mean, some_of
from ..files.json_file import json_text, write_json

_log = logging.getLogger(__name__)


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A result of a stage. Numbers that there are none of are None, never NaN.

    `stage` is what writes it; `version` is raised when its fields change.
    """

    stage: ClassVar[str]
    version: ClassVar[int] = 1


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a record."""


R = TypeVar("R", bound=Record)


def save_record(record: Record, path: Path | str) -> None:
    """Write a record, whole or not at all; the same bytes for the same record."""
    plain = msgspec.to_builtins(record)
    envelope = {
        "kind": type(record).__name__,
        "version": record.version,
        "sha256": _digest(plain),
        "record": plain,
    }
    write_json(path, envelope)


def load_record(kind: type[R], path: Path | str) -> R:
    """Read a record.

    Raises
    ------
    UserError
        If there is none, or it is damaged, or of another kind or version.
    """
    try:
        envelope = json.loads(Path(path).read_text(encoding="utf-8"))
        if (envelope["kind"], envelope["version"]) != (kind.__name__, kind.version):
            raise UserError(
                f"{path}: {envelope['kind']} of version {envelope['version']}, "
                f"not {kind.__name__} of version {kind.version}",
                rerun=kind.stage,
                force=True,
            )
        if _digest(envelope["record"]) != envelope["sha256"]:
            raise ValueError("its digest is another one")
        return msgspec.convert(envelope["record"], kind)
    except FileNotFoundError:
        raise UserError(f"{path}: no such result", rerun=kind.stage) from None
    except (ValueError, KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise UserError(f"{path}: not a result, or damaged ({error})", rerun=kind.stage, force=True) from None


def load_if_there(kind: type[R], path: Path | str) -> R | None:
    """As `load_record`; None where there is no such file."""
    return load_record(kind, path) if Path(path).is_file() else None


def tell_gaps(record: Record, asked: object = True) -> None:
    """Log what a record lacks, a line a gap; nothing where params.yaml asks for nothing."""
    of = [record.stage, *filter(None, [getattr(record, "layer", None)])]
    for gap in getattr(record, "gaps", ()) if asked else ():
        _log.warning("%s: %s", " ".join(of), gap)


def record_names(folder: Path) -> list[str]:
    """The names of the records in a folder, as `ap` or `tsne/<model>/<layer>`, in order."""
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.json"))


def record_text(folder: Path, name: str) -> str:
    """The JSON of a record of whatever kind, as it stands in its file.

    Raises
    ------
    UserError
        If there is none of that name, or it is damaged.
    """
    if name not in (there := record_names(folder)):
        raise NotThere(f"no result {name}{did_you_mean(name, there)}; there are {some_of(there) or 'none'}")
    path = folder / f"{name}.json"
    if damaged := verify_record(path):
        raise UserError(damaged[0])
    return path.read_text(encoding="utf-8")


def verify_record(path: Path | str) -> list[str]:
    """What is damaged in a record of whatever kind: one line, or none."""
    try:
        envelope = json.loads(Path(path).read_text(encoding="utf-8"))
        sound = _digest(envelope["record"]) == envelope["sha256"]
    except (ValueError, KeyError, TypeError):
        sound = False
    return [] if sound else [f"{path}: damaged"]


def _digest(plain: object) -> str:
    return hashlib.sha256(json_text(plain).encode()).hexdigest()
