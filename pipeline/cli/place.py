"""`pool5 place`: where images lie on the t-SNE map of a layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ..results.tsne_map import TsneResult
    from ..store.feature_file import FeatureFile


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--image", "images", multiple=True, type=click.Path(path_type=Path), help="Place an image file."
)
@click.option("--model", required=True, help="A model or a derived layer of params.yaml.")
@click.option("--layer", required=True, help="One of its layers that has a map.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def place(ids: tuple[str, ...], images: tuple[Path, ...], model: str, layer: str, as_json: bool) -> None:
    """Say where images lie on the t-SNE map of a layer: stored ones by ID, others by --image FILE.

    The map stays as it is. An image that it was made of has its place there; another is put where its
    nearest images on the map draw it, whichever others are asked for beside it.
    """
    import json

    from ..params import load_params
    from ..project import Project
    from ..questions.subjects import embed_files, stored_image
    from ..store.open_layer import open_layer

    if not ids and not images:
        raise UserError("give the ids of images, or --image FILE")
    project = Project()
    params = load_params(project.params)
    features, layer = open_layer(f"{model}/{layer}", params.dataset.test, params, project)
    tsne_map = _read_map(project.result(f"tsne/{model}/{layer}"))
    on_map = dict(zip(tsne_map.ids, tsne_map.points, strict=True))
    new = [stored_image(features, layer, name) for name in ids if name not in on_map]
    vectors = [file.layer(layer)[[row]] for file, row in new]
    if images:
        vectors.append(embed_files(images, features, layer, params, project))
    placed = iter(_placed(vectors, tsne_map, features, layer))
    # the new ids first, then the files, as they went in
    told = [(name, *(on_map[name] if name in on_map else next(placed)), name in on_map) for name in ids]
    told += [(str(image), *next(placed), False) for image in images]
    if as_json:
        keys = ("id", "x", "y", "on_map")
        click.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in told], ensure_ascii=False))
        return
    width = max(len("id"), *(len(name) for name, *_ in told))
    click.echo(f"{'id':<{width}}  {'x':>10}  {'y':>10}")
    for name, x, y, _ in told:
        click.echo(f"{name:<{width}}  {x:>10.5f}  {y:>10.5f}")


def _read_map(record: Path) -> TsneResult:
    from ..results.record import load_record
    from ..results.tsne_map import TsneResult

    if not record.is_file():
        raise UserError(f"{record}: no such map; name the layer in tsne.of of params.yaml", rerun="tsne")
    tsne_map = load_record(TsneResult, record)
    if not tsne_map.points:
        raise UserError(f"{record}: {'; '.join(tsne_map.gaps)}; map another layer, or more images")
    return tsne_map


def _placed(
    vectors: list[np.ndarray], tsne_map: TsneResult, features: FeatureFile, layer: str
) -> list[list[float]]:
    """The [x, y] of new images, with five decimals as the map has them."""
    import numpy as np

    from ..analysis.maps.tsne import place_points

    if unknown := [name for name in tsne_map.ids if name not in features]:
        raise UserError(
            f"the map of {tsne_map.layer} was made of other images ({unknown[0]} is not stored)", rerun="tsne"
        )
    if not vectors:
        return []
    made, points = tsne_map.made_of()
    mapped = features.layer(layer)[features.rows(made)]
    placed = place_points(np.concatenate(vectors), mapped, np.array(points))
    return [[round(x, 5), round(y, 5)] for x, y in placed.tolist()]
