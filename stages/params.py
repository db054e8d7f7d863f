"""The stage params: what decides each stage, its parameters with defaults filled in and its recipe version.

One small file a stage, so that a change of params.yaml reruns the stages whose file it changes.
"""

from __future__ import annotations

from ..files.json_file import write_json
from ..params import load_params
from ..params.recipes import deciding_values, read_recipes
from ..project import Project
from . import run


def main() -> None:
    project = Project()
    params = load_params(project.params)
    for stage, recipe in read_recipes(project.recipes).items():
        for item in params.models if recipe.has_items else [None]:
            decided = {"recipe_version": recipe.version, "params": deciding_values(params, recipe, item)}
            write_json(project.resolved(stage, item), decided)


if __name__ == "__main__":
    run(main)
