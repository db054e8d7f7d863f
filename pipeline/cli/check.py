"""`pool5 check`: is params.yaml sound, the project one of this version, and what will a run lack?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from ..errors import UserError
from ..files.hints import counted
from ..params import Params, problems_of, read_params
from ..project import Project


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Project().params)
def check(file: Path) -> None:
    """Check FILE (params.yaml): a line for each thing that is wrong or that a run will have to leave out."""
    from .upkeep import check_recipes, unnoticed_files, unwritten_files

    params, project = read_params(file), Project(file.parent)
    check_recipes(project)
    unnoticed = unnoticed_files(params, project)
    problems = list(problems_of(params)) or [*unnoticed, *_problems_ahead(params, project)]
    lines = [*unwritten_files(project), *(f"{file}: {problem}" for problem in problems)]
    for line in lines:
        click.echo(f"pool5: {line}", err=True)
    if lines:
        raise SystemExit(2)
    layers = sum(len(model.layers) for model in params.models.values())
    click.echo(
        f"{file}: sound; {params.dataset.name}, {counted(len(params.models), 'model')}, "
        f"{counted(layers, 'layer')}",
        err=True,
    )


def _problems_ahead(params: Params, project: Project) -> Iterator[str]:
    from . import ahead

    yield from ahead.folder_problems(params, project)
    test = train = None
    try:
        if listings := ahead.splits_of(params, project):
            train, test = listings[params.dataset.train], listings[params.dataset.test]
            for gap in ahead.gaps_ahead(params, listings, project.images(params.dataset.root)):
                _tell_ahead(gap)
    except UserError as error:
        yield str(error)
    widths: dict[str, int] = {}
    try:
        yield from ahead.device_problems(params)
        yield from ahead.network_problems(params, project.root, widths, _tell_ahead)
        yield from ahead.derive_problems(params, len(train.ids) if train else None, widths)
        yield from ahead.index_problems(params, len(test.ids) if test else None, widths)
    except ModuleNotFoundError as error:
        click.echo(f"{error.name} is not installed: networks, layers and indexes are not checked", err=True)


def _tell_ahead(gap: str) -> None:
    click.echo(f"to come: {gap}", err=True)
