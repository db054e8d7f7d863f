"""The account of the hard classes, as the page shows it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.report.pictures import Picture


@dataclasses.dataclass(frozen=True)
class HardClass:
    """A class, why it is shown, what is said about it, and its sheets of images."""

    name: str
    why: str
    texts: tuple[str, ...]
    confusions: tuple[tuple[str, float], ...]
    sheet_files: tuple[tuple[str, Path], ...]
    sheets: tuple[tuple[str, Picture], ...] = ()

    def with_pictures(self, pictures: Mapping[Path, Picture]) -> HardClass:
        """This record with the pictures of those of its sheets that there are."""
        there = tuple((alt, pictures[path]) for alt, path in self.sheet_files if path in pictures)
        return dataclasses.replace(self, sheets=there)


def read_hard_classes(folder: Path) -> tuple[HardClass, ...]:
    """Read hard.json in `folder`; nothing where the stage has not run."""
    path = folder / "hard.json"
    if not path.is_file():
        return ()
    return tuple(_hard_class(entry, folder) for entry in json.loads(path.read_text(encoding="utf-8")))


def _hard_class(entry: Mapping, folder: Path) -> HardClass:
    sheets = entry["sheets"]
    why = entry["why_shown"]
    text = entry["text"]
    return HardClass(
        name=entry["class"],
        why=why if isinstance(why, str) else ", ".join(why),
        texts=(text,) if isinstance(text, str) else tuple(text),
        confusions=tuple((c["class"], float(c["share"])) for c in entry["confusions"]),
        sheet_files=tuple((f"{entry['class']}: {Path(sheet).stem}", folder / sheet) for sheet in sheets),
    )
