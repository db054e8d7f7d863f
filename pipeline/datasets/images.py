"""Where a data set's images come from: drawn, downloaded, or there already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError
from ..files.atomic import write_text
from ..files.csv_file import write_csv
from ..files.remote import FIRST_TRIES, has_listing, is_remote, stat_remote
from ..params import Dataset
from ..project import Project
from ..sample.devkit import draw_devkit
from .download import YEARS, download_devkit, voc_archives
from .roots import open_tree
from .tree import Tree
from .walk import OF_THE_SYSTEM

IN_PLACE = "in-place.txt"
LISTING = "listing.csv"


def provide_images(project: Project, dataset: Dataset) -> None:
    """See to it that `dataset.root` is there, and so is the data set's folder in data/raw.

    The sample is drawn and VOC downloaded into that folder; any other data set must be there. Where
    `dataset.root` is another one, its images are read in place, and the folder says so. Where they are listed
    (`Dataset.is_listed`), it has their list, which is another one when an image is.

    Raises
    ------
    UserError
        If the root is missing and is none that the program can make.
    """
    root, folder = project.images(dataset.root), project.raw(dataset.name)
    own = not is_remote(root) and Path(root).resolve() == folder.resolve()
    if dataset.sample is not None:
        if not own:
            raise UserError(
                f"dataset.root: {root}: the sample is drawn into {folder}; "
                "set root to that, or dataset.sample: null to use images of your own"
            )
        draw_devkit(Path(root), dataset.sample)
    elif not is_remote(root):
        _see_to(Path(root), dataset, project)
    if own:
        return
    rows = list(_listed(open_tree(root), dataset)) if dataset.is_listed else None
    write_text(folder / IN_PLACE, "The images are read where they are: dataset.root in params.yaml.\n")
    if rows is None:
        (folder / LISTING).unlink(missing_ok=True)
    else:
        write_csv(folder / LISTING, ["path", "size", "changed"], rows, exact=True)


def _see_to(root: Path, dataset: Dataset, project: Project) -> None:
    if root.is_dir() and any(path.name not in OF_THE_SYSTEM for path in root.iterdir()):
        return
    if dataset.kind != "voc" or dataset.name not in YEARS:
        raise UserError(
            f"dataset.root: {root}: no such folder, or an empty one; put the data set there, or mend the "
            f"path in params.yaml (only {' and '.join(YEARS)} are fetched by themselves)"
        )
    download_devkit(root, voc_archives(dataset.name), project.downloads)


def _listed(tree: Tree, dataset: Dataset) -> Iterator[tuple[str, int | str, int | str]]:
    """Path, size, and time or etag of each file; on a web server, of those that `dataset.files` names."""
    if is_remote(tree.root) and not has_listing(tree.root):
        files = {"": dataset.files} if isinstance(dataset.files, str) else dataset.files or {}
        for path in sorted(set(files.values())):
            try:
                yield path, *stat_remote(tree.where(path), tries=FIRST_TRIES)
            except OSError as error:
                raise UserError(f"dataset.files: {tree.where(path)}: {error.strerror or error}") from None
        return
    for path in tree.files:
        try:
            size, changed = (tree.stamp(path) or ("", ""))[:2]
        except OSError:  # it has just gone
            continue
        yield path, size, changed
