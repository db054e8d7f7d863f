"""`pool5 why`: which rows would be computed again, and for which reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..errors import UserError
from ..project import Project

if TYPE_CHECKING:
    from ..params import Params
    from ..store.feature_file import FeatureFile


@click.command()
@click.argument("model")
@click.argument("split")
def why(model: str, split: str) -> None:
    """Say which rows of MODEL on SPLIT would be computed again, and which field of the key changed.

    MODEL may be a derived layer, whose rows are computed together.
    """
    for line in verdicts(model, split, Project()):
        click.echo(line)


def verdicts(model: str, split: str, project: Project) -> Iterator[str]:
    """What `pool5 why` says, line by line; `UserError` for a model or split that is not there."""
    from ..datasets.manifest import read_manifest
    from ..extract.difference import image_changes, layer_differences, model_difference
    from ..extract.keys import feature_keys
    from ..models.card import read_card
    from ..params import load_params
    from ..store.feature_file import FeatureFile
    from ..store.row_cache import RowCache

    params = load_params(project.params)
    splits = list(dict.fromkeys([params.dataset.train, params.dataset.test]))
    if split not in splits:
        raise UserError(f"split {split} is not extracted; params.yaml names {' and '.join(splits)}")
    if model in params.derive:
        yield from _why_derived(model, split, params, project)
        return
    spec = params.model(model)
    keys = feature_keys(params, model, project.models)
    manifest = read_manifest(project.manifest(split))
    if changed := model_difference(read_card(project.model(model)), spec):
        told = "; ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
        yield f"{model}: {told}: it will be made again, and with other weights all rows computed"
        return
    path = project.features(model, split)
    file = FeatureFile.open(path) if path.exists() else None
    if file is None:
        yield f"{path}: not there"
    else:
        changes = {what: count for what, count in image_changes(file, manifest).items() if count}
        yield f"images: {', '.join(f'{n} {what}' for what, n in changes.items()) or 'the same'}"
        for layer in sorted(set(file.layers) - set(keys)):
            yield f"{layer}: no longer in params.yaml"
    cache = RowCache(*project.row_caches(params.extract.cache, params.extract.read_also))
    for difference in layer_differences(file, keys, manifest, cache):
        reasons = [f"{name}: {old} -> {new}" for name, (old, new) in difference.fields.items()]
        if file is not None and not difference.stored:
            reasons = ["a new layer"]
        count = difference.to_compute
        verdict = f"{count} of {len(manifest)} rows to compute" if count else "every row is in the cache"
        yield f"{difference.layer}: {'; '.join([*reasons, verdict])}"


def _why_derived(name: str, split: str, params: Params, project: Project) -> Iterator[str]:
    from ..store.open_layer import open_layer

    derived = params.derive[name]
    layer = derived.of.partition("/")[2]
    if not project.derived(name, split).exists():
        yield f"{project.derived(name, split)}: not there"
        return
    reasons = []
    for each in dict.fromkeys([params.dataset.train, split]):  # the steps are fitted on the training split
        source, _ = open_layer(derived.of, each, params, project)
        file, _ = open_layer(f"{name}/{layer}", each, params, project)
        if not _same_images(source, file):
            reasons.append(f"{derived.of} has other images or labels of {each}")
    key = file.feature_key(layer)
    if key.derived[-1].of != source.key_digest(layer):
        reasons.append(f"{derived.of} has another feature key")
    if key.derived[-1].steps != derived.steps:
        reasons.append(f"steps: {list(key.derived[-1].steps)} -> {list(derived.steps)}")
    verdict = f"all {len(source)} rows to compute" if reasons else "every row is there"
    yield f"{layer}: {'; '.join([*reasons, verdict])}"


def _same_images(one: FeatureFile, other: FeatureFile) -> bool:
    digests = [(file.ids_digest, file.labels_digest, file.digests.tobytes()) for file in (one, other)]
    return digests[0] == digests[1]
