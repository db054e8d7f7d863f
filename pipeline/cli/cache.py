"""`pool5 cache stats` and `pool5 cache gc`: the row cache, and the unit cache beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from ..files.hints import counted
from ..project import Project

if TYPE_CHECKING:
    from ..params import Params
    from ..store.cache_usage import KeyUse

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@click.group()
def cache() -> None:
    """Look at what is kept between runs, or make it smaller."""


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stats(as_json: bool) -> None:
    """Say what is in the row cache, by model, layer and size, and how much the unit cache holds."""
    from ..params import Layer, load_params
    from ..store.cache_usage import cache_usage
    from ..store.unit_cache import unit_usage

    project = Project()
    params = load_params(project.params)
    root = project.row_cache(params.extract.cache)
    names = _keys_in_use(project, params)
    uses = cache_usage(root)
    if as_json:
        click.echo(_as_json(uses, names))
        return
    for use in uses:
        what = "unreadable"
        if use.key:
            key = use.key
            layer = Layer(node=key.node, pool=key.pool)
            what = f"{key.architecture} {key.weights_sha256[:8]} {layer} {key.precision} {key.dtype}"
        who = ", ".join(names.get(use.digest, [])) or "in no params in use"
        rows = f"{use.rows:>8} rows in {counted(use.shards, 'shard')}"
        click.echo(f"{_megabytes(use.size):>12}  {rows}  {who}  ({what})")
    click.echo(f"{_megabytes(sum(use.size for use in uses)):>12}  in {root}")
    if (kept := unit_usage(project.unit_cache))[0]:
        click.echo(f"{_megabytes(kept[1]):>12}  in {project.unit_cache}: {counted(kept[0], 'unit')}")


def _as_json(uses: Sequence[KeyUse], names: dict[str, list[str]]) -> str:
    import json

    table: list[dict[str, Any]] = [
        {
            "feature_key": use.digest,
            "key": json.loads(use.key.json()) if use.key else None,
            "in_use_by": names.get(use.digest, []),
            "rows": use.rows,
            "shards": use.shards,
            "bytes": use.size,
        }
        for use in uses
    ]
    return json.dumps(table, indent=2, sort_keys=True)


@cache.command()
@click.option(
    "--max-size", metavar="SIZE", help="Instead: remove the rows used least lately beyond SIZE, such as 20G."
)
@click.option(
    "--params", "more", multiple=True, type=click.Path(path_type=Path), help="Another params.yaml in use."
)
def gc(max_size: str | None, more: tuple[Path, ...]) -> None:
    """Remove what no params in use refer to, and say what was removed.

    In use are params.yaml and every file given by --params; of the unit cache, what each stage's last run
    took. Not while an extraction is running.
    """
    from ..params import load_params
    from ..store import unit_cache
    from ..store.cache_usage import remove_unused, shrink_to

    project = Project()
    params = load_params(project.params)
    root = project.row_cache(params.extract.cache)
    if max_size is not None and more:
        raise UserError("give either --max-size or --params: a size asks for no params")
    if max_size is not None:
        removed = shrink_to(root, _bytes(max_size))
    else:
        in_use: set[str] = set()
        for one in (params, *map(load_params, more)):
            _refuse_unmade(project, one)
            in_use |= _keys_in_use(project, one).keys()
        removed = remove_unused(root, in_use)
        units, size = unit_cache.remove_unused(project.unit_cache)
        if units:
            click.echo(f"removed {counted(units, 'unit')}, {_megabytes(size)}, from {project.unit_cache}")
    click.echo(f"removed {counted(removed.shards, 'shard')}, {_megabytes(removed.size)}, from {root}")


def _refuse_unmade(project: Project, params: Params) -> None:
    """Without its weights a model's keys are unknown, and its rows would be taken for unused."""
    for model in params.models:
        if not _is_made(project, model):
            raise UserError(
                f"{project.model(model)}: no such model, so its rows cannot be told from unused ones "
                "(--max-size asks for none)",
                rerun=f"model@{model}",
            )


def _is_made(project: Project, model: str) -> bool:
    from ..models.card import CARD_FILE

    return (project.model(model) / CARD_FILE).exists()


def _keys_in_use(project: Project, params: Params) -> dict[str, list[str]]:
    """{feature key: [<model>/<layer>, …]} of every model that has been made."""
    from ..extract.keys import feature_keys

    names: dict[str, list[str]] = {}
    for model in filter(lambda name: _is_made(project, name), params.models):
        for layer, key in feature_keys(params, model, project.models).items():
            names.setdefault(key.hex, []).append(f"{model}/{layer}")
    return names


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    if found is None:
        raise UserError(f"--max-size: {text} is not a size; write one such as 500M or 20G")
    return int(float(found[1]) * _UNITS[found[2]])


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
