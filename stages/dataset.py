"""The stage dataset: every image's id, digest, size, labels and boxes, by split."""

from __future__ import annotations

from ..datasets.inventory import take_inventory
from ..params import load_params
from ..project import Project
from . import run


def main() -> None:
    project = Project()
    params = load_params(project.params)
    extract = params.extract
    take_inventory(
        project, params.dataset, extract.on_bad_image, params.trained_on, memory_gb=extract.memory_gb
    )


if __name__ == "__main__":
    run(main)
