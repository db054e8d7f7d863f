"""The stage derive: layers computed from stored ones, in the order of params.yaml."""

from __future__ import annotations

import functools
from pathlib import Path

from ..analysis.derived_layer import Steps, decides_layer, derive_layer
from ..files.atomic import make_folders
from ..params import load_params
from ..project import Project
from ..store.feature_file import FeatureFile
from ..store.open_layer import open_layer
from . import run, unit_cache

_FOLDER = "layer"


def main() -> None:
    project = Project()
    params = load_params(project.params)
    splits = params.dataset.train, params.dataset.test
    make_folders(project.derived_folders, filled=bool(params.derive))
    with unit_cache(project, "derive") as units:
        for name, derived in params.derive.items():
            opened = [open_layer(derived.of, split, params, project) for split in splits]
            files, layer = [file for file, _ in opened], opened[0][1]
            key = decides_layer(name, files, layer, derived.steps)
            make = functools.partial(_make, name, files, layer, derived.steps)
            units.put(key, {_FOLDER: project.derived_folder(name)}, make)


def _make(name: str, files: list[FeatureFile], layer: str, steps: Steps, folder: Path) -> None:
    derive_layer(name, files, layer, steps, folder / _FOLDER)


if __name__ == "__main__":
    run(main)
