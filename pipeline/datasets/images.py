"""Where a data set's images come from: drawn, downloaded, or there already."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..files.atomic import write_text
from ..params import Dataset
from ..project import Project
from ..sample.devkit import draw_devkit
from .download import YEARS, download_devkit, voc_archives
from .image_tree import OF_THE_SYSTEM

IN_PLACE = "in-place.txt"


def provide_images(project: Project, dataset: Dataset) -> None:
    """See to it that `dataset.root` is there, and so is the data set's folder in data/raw.

    The sample is drawn and VOC downloaded into that folder; any other data set must be there. Where
    `dataset.root` is another one, its images are read in place, and the folder says so.

    Raises
    ------
    UserError
        If the root is missing and is none that the program can make.
    """
    root, folder = Path(project.images(dataset.root)), project.raw(dataset.name)
    own = root.resolve() == folder.resolve()
    if dataset.sample is not None:
        if not own:
            raise UserError(
                f"dataset.root: {root}: the sample is drawn into {folder}; "
                "set root to that, or dataset.sample: null to use images of your own"
            )
        draw_devkit(root, dataset.sample)
    elif not root.is_dir() or all(path.name in OF_THE_SYSTEM for path in root.iterdir()):
        if dataset.kind == "voc" and dataset.name in YEARS:
            download_devkit(root, voc_archives(dataset.name), project.downloads)
        else:
            raise UserError(
                f"dataset.root: {root}: no such folder, or an empty one; put the data set there, or mend the "
                f"path in params.yaml (only {' and '.join(YEARS)} are fetched by themselves)"
            )
    if not own:
        write_text(folder / IN_PLACE, "The images are read where they are: dataset.root in params.yaml.\n")
