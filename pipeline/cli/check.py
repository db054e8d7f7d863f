"""`pool5 check`: is params.yaml sound, and the project one of this version?"""

from __future__ import annotations

from pathlib import Path

import click

from ..project import Project


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Project().params)
def check(file: Path) -> None:
    """Check FILE (params.yaml) and say in one line what is wrong with it, if anything."""
    from ..params import load_params
    from .upkeep import check_recipes

    params = load_params(file)
    check_recipes(Project(file.parent))
    layers = sum(len(model.layers) for model in params.models.values())
    click.echo(
        f"{file}: sound; {params.dataset.name}, {len(params.models)} models, {layers} layers", err=True
    )
