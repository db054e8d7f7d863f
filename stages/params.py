"""The stage params: what decides each stage, its parameters with defaults filled in and its recipe version.

One small file a stage, so that a change of params.yaml reruns the stages whose file it changes.

It makes the folders that stand for the origins of weights in the graph. What was made for a model that
params.yaml names no more is put aside: the stages that read all of data/features or data/models would depend
on it, here and on no other machine.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from ..cli.upkeep import unnoticed_files
from ..errors import UserError
from ..files.atomic import write_text
from ..files.digests import sha256_of_file
from ..files.json_file import write_json
from ..params import ORIGINS, Params, load_params
from ..params.recipes import deciding_values, read_recipes
from ..project import Project
from . import run

_log = logging.getLogger(__name__)


def main() -> None:
    project = Project()
    params = load_params(project.params)
    for problem in unnoticed_files(params, project):
        raise UserError(problem)
    for stage, recipe in read_recipes(project.recipes).items():
        for item in params.models if recipe.has_items else [None]:
            decided = {"recipe_version": recipe.version, "params": deciding_values(params, recipe, item)}
            if item and "models.*.architecture" in recipe.params and (file := params.models[item].file):
                decided["file_sha256"] = _digest(project, f"models.{item}.architecture", file)
            if "dataset.lists" in recipe.params and (files := params.dataset.list_files):
                key = "dataset.lists and exclude"
                decided["list_sha256"] = {file: _digest(project, key, file) for file in files}
            if stage == "maps" and (points := params.maps.points):
                decided["points_sha256"] = {
                    name: _digest(project, f"maps.points.{name}", file) for name, file in points.items()
                }
            write_json(project.resolved(stage, item), decided)
    for origin, told in ORIGINS.items():
        folder = "Nothing is stored here; the folder stands for that origin in the pipeline's graph.\n"
        write_text(project.model(origin) / "README.md", f"{told}\n{folder}")
    put_aside_removed_models(project, params)


def _digest(project: Project, key: str, file: str) -> str:
    try:
        return sha256_of_file(project.root / file)
    except OSError as error:
        path = project.root / file
        raise UserError(f"{key}: {path} cannot be read ({error.strerror})") from None


def put_aside_removed_models(project: Project, params: Params) -> None:
    """Move what was made for other models out of the folders that later stages read."""
    made = [*project.models.glob("*/model.json"), *project.feature_folders.glob("*/extraction.json")]
    kept = {*params.models, *(Path(model.weights).parts[0] for model in params.models.values())}
    for model in sorted({path.parent.name for path in made} - kept):
        for output in filter(Path.exists, project.outputs_of(model)):
            aside = project.set_aside(output)
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            output.rename(aside)
            _log.info("%s: of no model in params.yaml: it is now %s", output, aside)


if __name__ == "__main__":
    run(main)
