"""Image files in folders: finding them, naming them, drawing splits of them."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ..errors import UserError
from ..files.hints import did_you_mean

SUFFIXES = frozenset([
    ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
    ".webp",
])  # fmt: skip
TEST_SHARE, VAL_SHARE = 0.2, 0.2  # of a group's images, and of what is then left for training
_log = logging.getLogger(__name__)


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name, without hidden ones; `UserError` where `folder` is none."""
    if not folder.is_dir():
        raise UserError(
            f"dataset.root: {folder}: no such folder; put the data set there, or mend the path in params.yaml"
        )
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def images_under(folder: Path, base: Path) -> list[str]:
    """The image files in a folder and below it, as paths from `base`, sorted."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in (Path(place, name) for name in names):
            if is_image(file):
                path = file.relative_to(base).as_posix()
                if not path.isprintable():
                    raise UserError(
                        f"{base}: {path!r}: a name with characters that cannot be printed; rename it"
                    )
                found.append(path)
    return sorted(found)


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


def draw_splits(
    groups: Iterable[Sequence[str]], train: str, test: str, val: str | None, root: Path
) -> dict[str, list[str]]:
    """Draw splits where the data set has none: {split: names, sorted}.

    A fifth of each group goes to `test`, the rest to `train`, a fifth of which is `val` too. Which ones is
    decided by a hash of their names, so that the split is the same on every machine.

    Raises
    ------
    UserError
        If a split would be empty.
    """
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
