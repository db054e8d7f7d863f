"""`pool5 extract`: the layers of a model, whole or a unit of it, whoever starts it."""

from __future__ import annotations

import re

import click
import msgspec

from ..errors import UserError
from ..project import Project
from .upkeep import check_recipes


@click.command()
@click.argument("model")
@click.option("--unit", metavar="I/N", help="Only the I-th of N shares of the images; publishes nothing.")
@click.option("--mixed", is_flag=True, help="Add to rows that another kind of device has computed.")
def extract(model: str, unit: str | None, mixed: bool) -> None:
    """Compute what is missing of MODEL's layers, and publish them as the stage `extract` does.

    With --unit any scheduler spreads the work: give each job a unit of its own, on one row cache. When all
    have ended, `dvc repro` finds nothing left to compute and publishes.
    """
    number, count = _unit(unit) if unit is not None else (0, 0)
    from ..extract.extract_layers import extract_model, extract_unit
    from ..params import load_params

    project = Project()
    check_recipes(project)
    params = load_params(project.params)
    if mixed:
        params = msgspec.structs.replace(params, extract=msgspec.structs.replace(params.extract, mixed=True))
    if count:
        extract_unit(model, params, project, number, count)
    else:
        extract_model(model, params, project)


def _unit(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"--unit {text}: give it as I/N, such as 3/64, with I from 1 to N")
    return int(found[1]), int(found[2])
