"""Why rows would be computed again: the stored key beside the one that params.yaml asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from ..datasets.manifest import Manifest
from ..models.card import ModelCard
from ..params import Model
from ..store.feature_file import FeatureFile
from ..store.feature_key import FeatureKey
from ..store.row_cache import RowCache


@dataclasses.dataclass(frozen=True)
class LayerDifference:
    """What has changed for one layer.

    Attributes
    ----------
    layer : str
    stored : bool
        Whether the feature file has this layer.
    fields : {field: (stored, wanted)}
        Where the two keys differ; a member of the preprocessing is named `preprocessing.<member>`.
    to_compute : int
        Images without a row in the cache.
    """

    layer: str
    stored: bool
    fields: dict[str, tuple[Any, Any]]
    to_compute: int


def layer_differences(
    file: FeatureFile | None, keys: Mapping[str, FeatureKey], manifest: Manifest, cache: RowCache
) -> list[LayerDifference]:
    """Compare the keys in a feature file with those wanted, layer by layer.

    Parameters
    ----------
    file : FeatureFile or None
        None: nothing has been published yet.
    keys : {layer: FeatureKey}
        As params.yaml asks for them.
    """
    digests = np.unique(manifest.digests, axis=0)
    found = []
    for layer, key in keys.items():
        stored = file is not None and layer in file.layers
        old = dataclasses.asdict(file.feature_key(layer)) if file is not None and stored else None
        fields = _differing(old, dataclasses.asdict(key)) if old else {}
        lacking = int(np.count_nonzero(cache.rows(key, digests).find(digests)[:, 0] < 0))
        found.append(LayerDifference(layer, stored, fields, lacking))
    return found


def model_difference(card: ModelCard, wanted: Model) -> dict[str, tuple[Any, Any]]:
    """Where a stored model's architecture and recipe differ from those wanted: {field: (stored, wanted)}.

    The device is left out: a model is not made again for it.
    """
    recipe = msgspec.json.decode(msgspec.json.encode(wanted.train))  # as the card has it: no tuples
    stored = {"architecture": card.architecture, "train": card.recipe}
    found = _differing(stored, {"architecture": wanted.architecture, "train": recipe})
    found.pop("train.device", None)
    return found


def image_changes(file: FeatureFile, manifest: Manifest) -> dict[str, int]:
    """How the images of a manifest differ from those of a feature file: added, removed, changed, moved."""
    before = {name: digest.tobytes() for name, digest in zip(file.ids.tolist(), file.digests, strict=True)}
    after = {
        name: digest.tobytes() for name, digest in zip(manifest.ids.tolist(), manifest.digests, strict=True)
    }
    both = before.keys() & after.keys()
    in_order = [name for name in before if name in both] == [name for name in after if name in both]
    return {
        "added": len(after.keys() - before.keys()),
        "removed": len(before.keys() - after.keys()),
        "changed": sum(before[name] != after[name] for name in both),
        "in another order": 0 if in_order else len(both),
    }


def _differing(
    stored: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
    fields: dict[str, tuple[Any, Any]] = {}
    for name in sorted(stored.keys() | wanted.keys()):
        old, new = stored.get(name), wanted.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            fields |= _differing(old, new, f"{prefix}{name}.")
        elif old != new:
            fields[f"{prefix}{name}"] = (old, new)
    return fields
