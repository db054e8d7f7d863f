"""`pool5 cache stats` and `pool5 cache gc`: the row cache."""

from __future__ import annotations

import re
from pathlib import Path

import click

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@click.group()
def cache() -> None:
    """Look at the row cache, or make it smaller."""


@cache.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stats(as_json: bool) -> None:
    """Say what is in the row cache, by model, layer and size."""
    import json

    from ..params import load_params
    from ..store.cache_usage import cache_usage

    params = load_params()
    names = _keys_in_use(params)
    uses = cache_usage(params.extract.cache)
    if as_json:
        table = [
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
        click.echo(json.dumps(table, indent=2, sort_keys=True))
        return
    for use in uses:
        what = "unreadable"
        if use.key:
            key = use.key
            what = f"{key.architecture} {key.weights_sha256[:8]} {key.node} {key.precision} {key.dtype}"
        who = ", ".join(names.get(use.digest, [])) or "in no params in use"
        rows = f"{use.rows:>8} rows in {_shards(use.shards)}"
        click.echo(f"{_megabytes(use.size):>12}  {rows}  {who}  ({what})")
    total = sum(use.size for use in uses)
    click.echo(f"{_megabytes(total):>12}  in {params.extract.cache}")


@cache.command()
@click.option(
    "--max-size", metavar="SIZE", help="Instead: remove the rows used least lately beyond SIZE, such as 20G."
)
@click.option(
    "--params", "more", multiple=True, type=click.Path(path_type=Path), help="Another params.yaml in use."
)
def gc(max_size: str | None, more: tuple[Path, ...]) -> None:
    """Remove from the row cache what no params in use refer to, and say what was removed.

    In use are params.yaml and every file given by --params. Not while an extraction is running.
    """
    from ..errors import UserError
    from ..params import load_params
    from ..store.cache_usage import remove_unused, shrink_to

    params = load_params()
    root = params.extract.cache
    if max_size is not None and more:
        raise UserError("give either --max-size or --params: a size asks for no params")
    if max_size is not None:
        removed = shrink_to(root, _bytes(max_size))
    else:
        in_use: set[str] = set()
        for one in (params, *map(load_params, more)):
            missing = [model for model in one.models if not _card(model).exists()]
            if missing:
                # without its weights a model's keys are unknown, and its rows would be taken for unused
                raise UserError(
                    f"{_card(missing[0])}: no such model, so its rows cannot be told from unused ones; "
                    f"run `dvc repro model@{missing[0]}`, or give --max-size"
                )
            in_use |= _keys_in_use(one).keys()
        removed = remove_unused(root, in_use)
    click.echo(f"removed {_shards(removed.shards)}, {_megabytes(removed.size)}, from {root}")


def _card(model: str) -> Path:
    return Path("data/models") / model / "model.json"


def _keys_in_use(params) -> dict[str, list[str]]:
    """{feature key: [<model>/<layer>, …]} of every model that has been made."""
    from ..extract.keys import feature_keys

    names: dict[str, list[str]] = {}
    for model in params.models:
        if _card(model).exists():
            for layer, key in feature_keys(params, model).items():
                names.setdefault(key.hex, []).append(f"{model}/{layer}")
    return names


def _bytes(text: str) -> int:
    from ..errors import UserError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.strip().lower())
    if found is None:
        raise UserError(f"--max-size: {text} is not a size; write one such as 500M or 20G")
    return int(float(found[1]) * _UNITS[found[2]])


def _shards(count: int) -> str:
    return "1 shard" if count == 1 else f"{count} shards"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
