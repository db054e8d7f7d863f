"""`pool5 place`: where images lie on the t-SNE map of a layer."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import UserError


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--image", "images", multiple=True, type=click.Path(path_type=Path), help="Place an image file."
)
@click.option("--model", required=True, help="A model of params.yaml.")
@click.option("--layer", required=True, help="One of its layers that has a map.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def place(ids: tuple[str, ...], images: tuple[Path, ...], model: str, layer: str, as_json: bool) -> None:
    """Say where images lie on the t-SNE map of a layer: stored ones by ID, others by --image FILE.

    The map stays as it is. An image that it was made of has its place there; another is put where its
    nearest images on the map draw it, whichever others are asked for beside it.
    """
    import json

    import numpy as np

    from ..analysis.tsne import place_points, read_map
    from ..params import load_params
    from ..store.feature_file import FeatureFile, feature_path
    from .subjects import embed_files, stored_image

    if not ids and not images:
        raise UserError("give the ids of images, or --image FILE")
    params = load_params()
    params.model(model)
    map_file = Path("reports/tsne", model, layer, "map.csv")
    map_ids, points = read_map(map_file)
    features = FeatureFile.open(feature_path(model, params.dataset.test))
    if unknown := [name for name in map_ids if name not in features]:
        raise UserError(
            f"{map_file}: made of other images ({unknown[0]} is not stored); run `dvc repro tsne` again"
        )
    mapped = features.layer(layer)[features.rows(map_ids)]

    row_on_map = {name: row for row, name in enumerate(map_ids)}
    new = [name for name in ids if name not in row_on_map]
    vectors = [np.empty((0, mapped.shape[1]), mapped.dtype)]
    for name in new:
        file, row = stored_image(features, layer, name)
        vectors.append(file.layer(layer)[[row]])
    if images:
        vectors.append(embed_files(images, features, model, layer, params))
    placed = iter(place_points(np.concatenate(vectors), mapped, points))
    # the new ids first, then the files, as they went in
    places = [points[row_on_map[name]] if name in row_on_map else next(placed) for name in ids]
    places += list(placed)
    names = [*ids, *map(str, images)]
    found = [(name, *np.round(place, 5).tolist()) for name, place in zip(names, places, strict=True)]
    if as_json:
        on_map = [name in row_on_map for name in ids] + [False] * len(images)
        keys = ("id", "x", "y", "on_map")
        rows = [dict(zip(keys, (*row, there), strict=True)) for row, there in zip(found, on_map, strict=True)]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    width = max(len("id"), *(len(name) for name, _, _ in found))
    click.echo(f"{'id':<{width}}  {'x':>10}  {'y':>10}")
    for name, x, y in found:
        click.echo(f"{name:<{width}}  {x:>10.5f}  {y:>10.5f}")
