"""`pool5 nodes`: which layers a network has, what a row of each is, and what it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ..errors import UserError
from ..extract.row_size import row_bytes, size_in_words
from ..params import Extract, Model, read_params
from ..project import Project

if TYPE_CHECKING:
    from ..models.node_values import Nodes

_OUTPUTS = 1000  # of a network that no model has been made of


@click.command()
@click.argument("model", required=False)
@click.option("--architecture", metavar="NAME", help="A network that need not be in params.yaml.")
@click.option("--crop", type=click.IntRange(1), help="Side of the images; by default what its weights take.")
@click.option("--all", "every", is_flag=True, help="The inner parts of blocks as well.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def nodes(model: str | None, architecture: str | None, crop: int | None, every: bool, as_json: bool) -> None:
    """List the nodes of MODEL (of params.yaml) in order of computation.

    Each may be a layer: `models.<name>.layers`. Nothing need have been made.
    """
    if (model is None) == (architecture is None):
        raise UserError("nodes: give a model of params.yaml, or --architecture")
    params = read_params(Project().params) if Project().params.is_file() or model else None
    spec, outputs = _asked(model, architecture, crop, params.models if params else {})
    found = _find(spec, outputs)
    dtype = (params.extract if params else Extract()).dtype
    rows = [_row(name, found, dtype) for name in (found.rows if every else found.main)]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    graph = "" if found.traced else "; its graph cannot be traced: modules alone are nodes"
    click.echo(
        f"{spec.architecture}: {len(found.rows)} nodes, {len(rows)} shown; {spec.transform.crop} px, "
        f"{outputs} outputs, {dtype}{graph}",
        err=True,
    )
    wide = max((len(row["node"]) for row in rows), default=0)
    for row in rows:
        size = row["row_bytes"]
        taken = f"{size_in_words(size):>9}  {size_in_words(10_000 * size):>9} for 10,000"
        click.echo(f"{row['node']:{wide}}  {taken}  {found.values[row['node']].shape}")


def _asked(
    name: str | None, architecture: str | None, crop: int | None, models: dict[str, Model]
) -> tuple[Model, int]:
    """The model, and how many outputs it has."""
    from ..models.card import read_card
    from ..models.preprocessing import settled
    from ..params import Preprocess

    root = Project().root
    if architecture is not None:
        one = Model(architecture=architecture, weights="random", layers={"a": "a"})
        if crop:
            one = msgspec.structs.replace(one, preprocess=Preprocess(resize=crop, crop=crop))
        return settled("--architecture", {"--architecture": one}, root), _OUTPUTS
    assert name is not None
    if crop is not None:
        raise UserError(f"nodes: --crop goes with --architecture; {name} has its preprocess.crop")
    if name not in models:
        raise UserError(f"no model {name} in params.yaml; it has {', '.join(models)}")
    try:
        outputs = read_card(Project().model(name)).outputs
    except UserError:
        outputs = _OUTPUTS
    return settled(name, models, root), outputs


def _find(spec: Model, outputs: int) -> Nodes:
    from ..models.layers import nodes_of
    from ..models.network import check_buildable, options_of

    root: Path = Project().root
    options = options_of(spec.architecture, spec.arguments, root)
    check_buildable(spec.architecture, spec.transform.crop, options, root)
    return nodes_of(spec.architecture, outputs, spec.transform.crop, options, root)


def _row(name: str, found: Nodes, dtype: str) -> dict[str, Any]:
    from ..models.pooling import possible_pools

    shape = found.values[name].shape
    assert shape is not None
    return {
        "node": name,
        "shape": list(shape.shape),
        "axes": shape.axes,
        "prefix_tokens": shape.prefix_tokens,
        "pools": possible_pools(shape, class_token=found.class_token),
        "row_bytes": row_bytes(shape.width, dtype),
    }
