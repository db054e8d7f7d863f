"""Image files in folders: finding them, naming them, drawing splits of them."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NoReturn

from ..errors import UserError
from ..files.hints import did_you_mean
from ..params import Dataset
from .listing import can_be_written

SUFFIXES = frozenset([
    ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
    ".webp",
])  # fmt: skip
# what systems and archives leave behind: never a class, nor searched for images
OF_THE_SYSTEM = frozenset(["$RECYCLE.BIN", "@eaDir", "System Volume Information", "__MACOSX", "lost+found"])
TEST_SHARE, VAL_SHARE = 0.2, 0.2  # of a group's images, and of what is then left for training
_log = logging.getLogger(__name__)


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name, without hidden ones and those of the system.

    Raises
    ------
    UserError
        If `folder` is none, or cannot be read.
    """
    if not folder.is_dir():
        raise UserError(
            f"dataset.root: {folder}: no such folder; put the data set there, or mend the path in params.yaml"
        )
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not _unwanted(path.name))
    except OSError as error:
        refuse_unreadable(error)


def images_under(folder: Path, base: Path) -> list[str]:
    """The image files in a folder and below it, as paths from `base`, sorted.

    Raises
    ------
    UserError
        If a folder cannot be read, or a name cannot be written into a table.
    """
    found = []
    for place, names in walk(folder, refuse_unreadable):
        for file in (place / name for name in names):
            if is_image(file):
                path = file.relative_to(base).as_posix()
                if not can_be_written(path):
                    raise UserError(
                        f"{base}: {path!r}: a name with control characters, or not in UTF-8; rename it"
                    )
                found.append(path)
    return sorted(found)


def walk(
    folder: Path,
    on_error: Callable[[OSError], object],
    on_link: Callable[[Path], object] | None = None,
    inside: tuple[Path, ...] = (),
) -> Iterator[tuple[Path, list[str]]]:
    """Each folder in `folder` with the names of its files, hidden ones and those of the system aside.

    Links to folders elsewhere are followed; one into `folder` is not, as what is there is found anyway.

    Parameters
    ----------
    on_error : called with what a folder that cannot be read gives
    on_link : called with each link that is followed
    inside : the folders whose links have led here, where a link back would lead in a circle
    """
    inside = (*inside, folder.resolve())
    for place, folders, names in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not _unwanted(name))
        yield Path(place), [name for name in names if not name.startswith(".")]
        for path in (path for path in (Path(place, name) for name in folders) if path.is_symlink()):
            target = path.resolve()
            if not any(target.is_relative_to(known) or known.is_relative_to(target) for known in inside):
                if on_link is not None:
                    on_link(path)
                yield from walk(path, on_error, on_link, inside)


def _unwanted(folder: str) -> bool:
    return folder.startswith(".") or folder in OF_THE_SYSTEM


def refuse_unreadable(error: OSError) -> NoReturn:
    """Stop at a folder that cannot be read: what is in it would be missing without a word."""
    raise UserError(
        f"{error.filename}: cannot be read ({error.strerror}); make it readable, or move it elsewhere"
    ) from None


def holds_images(folder: Path) -> bool:
    """Whether images lie in a folder itself, not only below it."""
    return any(
        is_image(place / name)
        for place, names in islice(walk(folder, refuse_unreadable), 1)
        for name in names
    )


def is_image(path: Path) -> bool:
    """Whether a file's name is that of an image."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def short_ids(paths: Sequence[str]) -> dict[str, str]:
    """{path: id}: the paths without their suffixes, or as they are if two would be the same."""
    ids = {path: str(PurePosixPath(path).with_suffix("")) for path in paths}
    return ids if len(set(ids.values())) == len(ids) else {path: path for path in paths}


def check_splits(found: Mapping[str, Collection[str]], named: Iterable[str], root: Path, layout: str) -> None:
    """Refuse a root that lacks the folder of a split, or has no images in it.

    Parameters
    ----------
    found : {folder of `root`: its images}
    named : the splits
    layout : str
        How images lie in a split's folder, for the message.
    """
    for split in named:
        if split not in found:
            raise UserError(
                f"dataset: {root} has no folder {split}{did_you_mean(split, found)}; it has: "
                f"{', '.join(found) or 'none'}. Images belong in {root}/<split>/{layout}"
            )
        if not found[split]:
            raise UserError(f"{root / split}: an empty split; images belong in {root / split}/{layout}")


def draw_splits(groups: Iterable[Sequence[str]], dataset: Dataset, root: Path | str) -> dict[str, list[str]]:
    """Draw splits where the data set has none: {split: names, sorted}.

    A fifth of each group goes to `test`, the rest to `train`, a fifth of which is `val` too. Which ones is
    decided by a hash of their names, so that the split is the same on every machine.

    Raises
    ------
    UserError
        If a split would be empty.
    """
    train, test, val = dataset.train, dataset.test, dataset.val
    chosen: dict[str, list[str]] = {split: [] for split in (train, test, val) if split}
    for names in groups:
        shuffled = sorted(names, key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest())
        held_out = round(TEST_SHARE * len(names))
        chosen[test] += shuffled[:held_out]
        chosen[train] += shuffled[held_out:]
        if val:
            chosen[val] += shuffled[held_out : held_out + round(VAL_SHARE * (len(names) - held_out))]
    for split, found in chosen.items():
        if not found:
            raise UserError(
                f"dataset: {root} holds too few images to draw the split {split} from: three of a kind are "
                "the least; or say yourself which image is in which split"
            )
    amounts = ", ".join(f"{split} {len(found)}" for split, found in chosen.items())
    _log.info("%s does not say which image is in which split, so they are drawn: %s", root, amounts)
    return {split: sorted(found) for split, found in chosen.items()}
