"""`pool5 check`: is params.yaml sound?"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("params.yaml"))
def check(file: Path) -> None:
    """Check FILE (params.yaml) and say in one line what is wrong with it, if anything."""
    from ..params import load_params

    params = load_params(file)
    layers = sum(len(model.layers) for model in params.models.values())
    click.echo(
        f"{file}: sound; {params.dataset.name}, {len(params.models)} models, {layers} layers", err=True
    )
