"""The account of the hard classes, as the page shows it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .pictures import Picture

_CONFUSIONS_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Confusion:
    """A class in the false alarms: its share of them, and its share of all images without the class."""

    name: str
    share: float
    expected: float


@dataclasses.dataclass(frozen=True)
class Found:
    """How many of the images that are alike in a respect are found."""

    name: str
    found: int
    images: int


@dataclasses.dataclass(frozen=True)
class HardClass:
    """A class, why it is shown, what is said about it, and its sheets of images."""

    name: str
    why: str
    text: str
    false_alarms: int
    confusions: tuple[Confusion, ...]
    groups: tuple[tuple[str, tuple[Found, ...]], ...]
    sheet_files: tuple[Path, ...]
    sheets: tuple[Picture, ...] = ()

    def with_pictures(self, pictures: Mapping[Path, Picture]) -> HardClass:
        """This record with the pictures of those of its sheets that there are."""
        there = tuple(pictures[path] for path in self.sheet_files if path in pictures)
        return dataclasses.replace(self, sheets=there)


def read_hard_classes(folder: Path) -> tuple[HardClass, ...]:
    """Read hard.json in `folder`; nothing where the stage has not run."""
    path = folder / "hard.json"
    if not path.is_file():
        return ()
    return tuple(_hard_class(entry, folder) for entry in json.loads(path.read_text(encoding="utf-8")))


def _hard_class(entry: Mapping[str, Any], folder: Path) -> HardClass:
    about = {"size": "by the size of its largest object", "number": "by the number of its objects"}
    return HardClass(
        name=entry["class"],
        why=", ".join(entry["why_shown"]),
        text=entry["text"],
        false_alarms=entry["false_alarms"],
        confusions=tuple(
            Confusion(c["class"], c["share"], c["expected"]) for c in entry["confusions"][:_CONFUSIONS_SHOWN]
        ),
        groups=tuple(
            (title, tuple(Found(g["name"], g["found"], g["images"]) for g in entry[key]["groups"]))
            for key, title in about.items()
            if entry[key] is not None
        ),
        sheet_files=tuple(folder / name for name in entry["sheets"]),
    )
