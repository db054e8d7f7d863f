"""The door to the stored rows of a layer, be it of a model or derived from another one."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..params import Params, split_reference
from ..project import Project
from .feature_file import FeatureFile


def open_layer(reference: str, split: str, params: Params, project: Project) -> tuple[FeatureFile, str]:
    """Open the feature file that has a layer.

    Parameters
    ----------
    reference : str
        `<name>/<layer>`; the name is that of a model or of a derived layer.
    split : str

    Returns
    -------
    file : FeatureFile
        Its `model` is that name.
    layer : str
        What the layer is called in the file.

    Raises
    ------
    UserError
        If there is no such name in params.yaml, or the file is not there or damaged.
    """
    name, layer = split_reference(reference)
    path = features_path(name, split, params, project)
    return FeatureFile.open(path, "derive" if name in params.derive else "extract"), layer


def features_path(name: str, split: str, params: Params, project: Project) -> Path:
    """Where the feature file of a model or a derived layer is; `UserError` for any other name."""
    if name in params.derive:
        return project.derived(name, split)
    if name in params.models:
        return project.features(name, split)
    there = ", ".join([*params.models, *params.derive])
    what = "model or derived layer" if params.derive else "model"
    raise UserError(f"no {what} {name!r} in params.yaml; it has {there}")
