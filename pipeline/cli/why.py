"""`pool5 why`: which rows would be computed again, and for which reason."""

from __future__ import annotations

import click

from ..errors import UserError
from ..project import Project


@click.command()
@click.argument("model")
@click.argument("split")
def why(model: str, split: str) -> None:
    """Say which rows of MODEL on SPLIT would be computed again, and which field of the key changed."""
    from ..datasets.manifest import read_manifest
    from ..extract.difference import image_changes, layer_differences, model_difference
    from ..extract.keys import feature_keys
    from ..models.card import read_card
    from ..params import load_params
    from ..store.feature_file import FeatureFile
    from ..store.row_cache import RowCache

    project = Project()
    params = load_params(project.params)
    spec = params.model(model)
    splits = list(dict.fromkeys([params.dataset.train, params.dataset.test]))
    if split not in splits:
        raise UserError(f"split {split} is not extracted; params.yaml names {' and '.join(splits)}")
    keys = feature_keys(params, model, project.models)
    manifest = read_manifest(project.manifest(split))
    if changed := model_difference(read_card(project.model(model)), spec):
        told = "; ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
        click.echo(f"{model}: {told}: it will be made again, and with other weights all rows computed")
        return
    path = project.features(model, split)
    file = FeatureFile.open(path) if path.exists() else None
    if file is None:
        click.echo(f"{path}: not there")
    else:
        changes = {what: count for what, count in image_changes(file, manifest).items() if count}
        click.echo(f"images: {', '.join(f'{n} {what}' for what, n in changes.items()) or 'the same'}")
        for layer in sorted(set(file.layers) - set(keys)):
            click.echo(f"{layer}: no longer in params.yaml")
    cache = RowCache(*project.row_caches(params.extract.cache, params.extract.read_also))
    for difference in layer_differences(file, keys, manifest, cache):
        reasons = [f"{name}: {old} -> {new}" for name, (old, new) in difference.fields.items()]
        if file is not None and not difference.stored:
            reasons = ["a new layer"]
        count = difference.to_compute
        verdict = f"{count} of {len(manifest)} rows to compute" if count else "every row is in the cache"
        click.echo(f"{difference.layer}: {'; '.join([*reasons, verdict])}")
