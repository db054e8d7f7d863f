"""What lies beside the images that a data set lists: counted, so that what is not read is not overlooked."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from pathlib import Path

from ..results.dataset import PassedOver
from .image_tree import SUFFIXES, walk
from .table import TABLE

NO_IMAGE = "no ending of an image"
NO_SPLIT = "in no split that is read"
NOWHERE = "no file, or a link that leads nowhere"
CLOSED = "a folder that cannot be read"


def look_beside(root: Path, paths: Iterable[str]) -> tuple[list[PassedOver], list[str]]:
    """What the folder holds in which the listed images lie, beside them, and the links to folders elsewhere.

    Hidden files and those of the system are no part of it.

    Parameters
    ----------
    root : Path
    paths : iterable of str
        The listed images, from `root`.

    Returns
    -------
    list of PassedOver, list of str
        The latter are paths from `root`.
    """
    # by the real folder, as one may be reached through a link and be found beside it
    real = functools.cache(os.path.realpath)
    listed = [os.path.split(path) for path in paths]
    read = {(real(os.path.join(root, folder)), name) for folder, name in listed}  # noqa: PTH118 - a text is cached
    top = root / os.path.commonpath({folder for folder, _ in listed})
    found: dict[tuple[str, str], list[str]] = {}
    links = [folder for folder in (top, *top.parents) if folder.is_symlink() and folder.is_relative_to(root)]

    def note(reason: str, path: Path | str, ending: str = "") -> None:
        found.setdefault((reason, ending), []).append(os.path.relpath(path, root))

    for place, names in walk(top, lambda error: note(CLOSED, error.filename), links.append):
        for name in names:
            if (real(place), name) not in read and name != TABLE:
                ending = Path(name).suffix.lower()
                beside = NO_SPLIT if (place / name).is_file() else NOWHERE
                note(beside if ending in SUFFIXES else NO_IMAGE, place / name, ending)
    inside = root.resolve()
    elsewhere = {link for link in links if link != root and not link.resolve().is_relative_to(inside)}
    return (
        [
            PassedOver(reason=reason, ending=ending, files=len(names), example=min(names))
            for (reason, ending), names in sorted(found.items())
        ],
        sorted(os.path.relpath(link, root) for link in elsewhere),
    )
