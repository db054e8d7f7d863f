"""The stage images: draw the sample, download VOC, or check that the data set's own folder is there."""

from __future__ import annotations

from ..datasets.images import provide_images
from ..params import load_params
from ..project import Project
from . import run


def main() -> None:
    project = Project()
    provide_images(project, load_params(project.params).dataset)


if __name__ == "__main__":
    run(main)
