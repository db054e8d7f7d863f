"""`pool5 place`: where images lie on the t-SNE map of a layer."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.errors import UserError


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

    from pipeline.analysis.tsne import place_points, read_map
    from pipeline.cli.subjects import embed_files, stored_image
    from pipeline.params import load_params
    from pipeline.store.feature_file import FeatureFile, feature_path

    if not ids and not images:
        raise UserError("give the ids of images, or --image FILE")
    params = load_params()
    if model not in params.models:
        raise UserError(f"no model {model} in params.yaml; it has {', '.join(params.models)}")
    map_ids, points = read_map(Path("reports/tsne", model, layer, "map.csv"))
    features = FeatureFile.open(feature_path(model, params.dataset.test))
    mapped = features.layer(layer)[features.rows(map_ids)]

    place_of = dict(zip(map_ids, points, strict=True))
    new = [name for name in ids if name not in place_of]
    vectors = [np.empty((0, mapped.shape[1]), mapped.dtype)]
    for name in new:
        file, row = stored_image(features, layer, name)
        vectors.append(file.layer(layer)[[row]])
    if images:
        vectors.append(embed_files(images, features, model, layer, params))
    names = [*new, *map(str, images)]
    place_of |= zip(names, place_points(np.concatenate(vectors), mapped, points), strict=True)

    found = [(name, *np.round(place_of[name], 5).tolist()) for name in [*ids, *map(str, images)]]
    if as_json:
        keys = ("id", "x", "y", "on_map")
        on_map = set(map_ids)
        rows = [dict(zip(keys, (*row, row[0] in on_map), strict=True)) for row in found]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    width = max(len("id"), *(len(name) for name, _, _ in found))
    click.echo(f"{'id':<{width}}  {'x':>10}  {'y':>10}")
    for name, x, y in found:
        click.echo(f"{name:<{width}}  {x:>10.5f}  {y:>10.5f}")
