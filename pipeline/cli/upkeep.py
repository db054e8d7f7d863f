"""What a project has from the program: its graph, the recipes, and whether these are the installed ones."""

from __future__ import annotations

from importlib.resources import files

from ..errors import UserError
from ..project import Project


def shipped(name: str) -> str:
    """A file of presets/: `graph.yaml` is the project's dvc.yaml."""
    return (files("pool5.presets") / name).read_text(encoding="utf-8")


def check_recipes(project: Project) -> None:
    """Refuse a project that another version of the program was set up for.

    Its dvc.lock would call outputs up to date that this program makes in another way.

    Raises
    ------
    UserError
        If recipes.yaml is not the installed one.
    """
    path = project.recipes
    if path.is_file() and path.read_text(encoding="utf-8") != shipped("recipes.yaml"):
        raise UserError(
            f"{path}: of another version of pool5 than the installed one; run `pool5 init --update`"
        )
