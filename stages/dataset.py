"""The stage dataset: every image's id, digest, size, labels and boxes, by split."""

from __future__ import annotations

from ..datasets.inventory import take_inventory
from ..params import load_params
from ..project import Project
from . import run


def main() -> None:
    project = Project()
    params = load_params(project.params)
    take_inventory(project, params.dataset, params.extract.on_bad_image)


if __name__ == "__main__":
    run(main)
