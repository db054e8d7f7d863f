"""Lists of images in files of the project: which are in which split, and which are left out."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files.hints import counted, did_you_mean, some_of
from ..labels import Labels
from ..params import Dataset
from ..params.sections import is_list
from .listing import UNSPLIT, Listing
from .named_files import composed
from .objects import without_objects
from .patterns import name_of

_EVERY = ""  # of lines that no [split] stands before
_FEW = 20_000  # names that a mistyped one is compared with


def split_by_lists(
    listings: Mapping[str, Listing], dataset: Dataset, project: Path, also: Collection[str]
) -> dict[str, Listing]:
    """The splits that `dataset.lists` name, in the order of the lists, whatever else the data set says.

    Raises
    ------
    UserError
        If a list is missing, or names an image that is none, or one twice.
    """
    every = _together(list(listings.values()))
    rows_of = _Names(every)
    chosen: dict[str, list[int]] = {}
    for split in dataset.splits(also):
        if split not in dataset.lists:
            raise UserError(
                f"dataset.lists: no list of the split {split}{did_you_mean(split, dataset.lists)}; "
                f"there are: {', '.join(dataset.lists)}"
            )
        chosen[split] = _rows_listed(dataset.lists[split], project, rows_of)
    if rest := len(every.ids) - len(set(itertools.chain(*chosen.values()))):
        remark = f"{counted(rest, 'image')} in no list of a split that is read"
        every = dataclasses.replace(every, remarks=(*every.remarks, remark))
    return {split: every.rows(rows, split) for split, rows in chosen.items()}


def leave_out_listed(listings: Mapping[str, Listing], dataset: Dataset, project: Path) -> dict[str, Listing]:
    """The splits without the images on the lists in `dataset.exclude`; the others stay in their splits.

    Names after a line `[train]` are left out of `train` alone, those before any such line of every split.
    """
    left = dict(listings)
    for file in filter(is_list, dataset.exclude):
        parts = _parts(file, project)
        odd = [f"[{part}], which is no split that is read" for part in parts if part not in (_EVERY, *left)]
        unknown = {name for names in parts.values() for name in names if not name.startswith("#")}
        for split, listing in left.items():
            names = {**parts.get(_EVERY, {}), **parts.get(split, {})}
            if dataset.objects:
                listing, objects = without_objects(listing, names, file)
                left[split] = listing
                unknown -= objects
            rows_of = _Names(listing)
            out = set()
            for name in names:
                if rows := rows_of.all(name):
                    out.update(rows)
                    unknown.discard(name)
            if not out:
                continue
            stay = np.delete(np.arange(len(listing.ids)), list(out))
            refuse_empty(len(stay), split, file)
            remark = f"{file} leaves out {counted(len(out), 'image')} of {split}"
            left[split] = dataclasses.replace(listing.rows(stay), remarks=(*listing.remarks, remark))
        if unknown:
            named = some_of(sorted(unknown), 3)
            odd.append(f"{counted(len(unknown), 'name')} of no image that is read: {named}")
        if odd:
            remark = f"{file} has {'; '.join(odd)}"
            for split, part in left.items():
                left[split] = dataclasses.replace(part, remarks=(*part.remarks, remark))
    return left


def refuse_empty(images: int, split: str, why: str) -> None:
    """A split must hold an image."""
    if not images:
        part = f" of the split {split}" if split else ""
        raise UserError(f"{why}: no image{part} is left; mend that, or leave it out of params.yaml")


class _Names:
    """The rows of a listing by what a list may call them: the id, the path, or the name in an archive."""

    def __init__(self, listing: Listing) -> None:
        self._rows: dict[str, list[int]] = {}
        self._paths: dict[str, list[int]] = {}
        for row, (image_id, path) in enumerate(zip(listing.ids, listing.paths, strict=True)):
            self._rows.setdefault(composed(image_id), []).append(row)
            self._paths.setdefault(composed(name_of(path, image_id)), []).append(row)

    def all(self, name: str) -> list[int]:
        """Those of the id, or where there is none of the path."""
        name = composed(name)
        return self._rows.get(name) or self._paths.get(name.removeprefix("./"), [])

    def near(self, name: str) -> str:
        """A hint at what a mistyped name may have meant."""
        return did_you_mean(name, itertools.islice(self._rows, _FEW))


def _rows_listed(file: str, project: Path, rows_of: _Names) -> list[int]:
    found: dict[int, str] = {}
    unknown = []
    for number, name in _lines(file, project):
        rows = rows_of.all(name)
        if len(rows) > 1:
            raise UserError(f"{file}:{number}: {name} is the id of {len(rows)} images; give their paths")
        if rows and rows[0] in found:
            raise UserError(f"{file}:{number}: {name} is listed twice; remove one of the lines")
        if rows:
            found[rows[0]] = name
        elif not name.startswith("#"):
            unknown.append((number, name))
    if unknown:
        number, name = unknown[0]
        more = f", nor are {len(unknown) - 1} more names there" if unknown[1:] else ""
        raise UserError(
            f"{file}:{number}: {name} is no image's id, nor a path from dataset.root"
            f"{rows_of.near(name)}{more}"
        )
    if not found:
        raise UserError(f"{file}: names no image; write one id or path a line")
    return list(found)


def _parts(file: str, project: Path) -> dict[str, dict[str, None]]:
    """{split, or '' for every one: the names}."""
    parts: dict[str, dict[str, None]] = {}
    part = parts.setdefault(_EVERY, {})
    for _, line in _lines(file, project):
        if line.startswith("[") and line.endswith("]"):
            part = parts.setdefault(line[1:-1].strip(), {})
        else:  # a comment too, as an image may be named so
            part[line] = None
    return parts


def _lines(file: str, project: Path) -> Sequence[tuple[int, str]]:
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise UserError(
            f"dataset.lists and exclude: {file}: no file of the project; copy it beside params.yaml"
        )
    path = project / file
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8; write it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); it is named in params.yaml") from None
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in lines if line]


def _together(listings: Sequence[Listing]) -> Listing:
    """One listing of all; an image that is in several counts once."""
    seen: set[str] = set()
    parts = []
    for listing in listings:
        rows = [row for row, path in enumerate(listing.paths) if path not in seen]
        parts.append(listing.rows(rows) if len(rows) < len(listing.ids) else listing)
        seen.update(listing.paths)
    return dataclasses.replace(
        parts[0],
        split=UNSPLIT,
        ids=tuple(itertools.chain(*(part.ids for part in parts))),
        paths=tuple(itertools.chain(*(part.paths for part in parts))),
        labels=Labels.stacked([part.labels for part in parts]),
        objects=tuple(itertools.chain(*(part.objects for part in parts))),
        disagreements=tuple(itertools.chain(*(part.disagreements for part in parts))),
        remarks=tuple(dict.fromkeys(itertools.chain(*(part.remarks for part in parts)))),
    )
