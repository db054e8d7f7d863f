"""What was run: the data set, the models, the stored layers, and the parameters."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from ..datasets.manifest import Manifest, read_manifest
from ..models.card import ModelCard, read_card
from ..params import Params
from ..store.feature_file import FeatureFile, feature_path


@dataclasses.dataclass(frozen=True)
class SplitCounts:
    """A split's images, and per class how many are positive and how many hold only difficult instances."""

    name: str
    images: int
    positives: tuple[int, ...]
    difficult: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class StoredLayer:
    """A layer of a feature file: its width, and what decides its values."""

    model: str
    layer: str
    width: int
    key: Mapping[str, Any]
    digest: str

    @property
    def preprocessing(self) -> str:
        return json.dumps(self.key["preprocessing"], sort_keys=True)


@dataclasses.dataclass(frozen=True)
class Provenance:
    """All that the section on what was run tells."""

    dataset: str
    classes: tuple[str, ...]
    splits: tuple[SplitCounts, ...]
    cards: Mapping[str, ModelCard]
    layers: tuple[StoredLayer, ...]
    params: str


def read_provenance(params: Params, test: Manifest, data: Path) -> Provenance:
    """Gather it from the manifests, the models' cards and the headers of the feature files under `data`."""
    train = read_manifest(data / "manifest" / f"{params.dataset.train}.csv")
    layers = []
    for model, spec in params.models.items():
        path = feature_path(model, params.dataset.test, data / "features")
        if path.is_file():
            layers += _layers(FeatureFile.open(path), list(spec.layers))
    cards = {
        model: read_card(data / "models" / model)
        for model in params.models
        if (data / "models" / model / "model.json").is_file()
    }
    return Provenance(
        params.dataset.name,
        test.classes,
        tuple(_counts(manifest) for manifest in (train, test)),
        cards,
        tuple(layers),
        _as_yaml(params),
    )


def _counts(manifest: Manifest) -> SplitCounts:
    return SplitCounts(
        manifest.split,
        len(manifest),
        tuple(np.count_nonzero(manifest.labels == 1, axis=0).tolist()),
        tuple(np.count_nonzero(manifest.labels == 0, axis=0).tolist()),
    )


def _layers(features: FeatureFile, names: Sequence[str]) -> list[StoredLayer]:
    return [
        StoredLayer(
            features.model,
            name,
            features.layer(name).shape[1],
            features.key(name),
            features.key_digest(name),
        )
        for name in names
    ]


def _as_yaml(params: Params) -> str:
    """The parameters as a params.yaml; of an absolute root its name only: the rest is the machine's."""
    plain = msgspec.to_builtins(params)
    root = Path(plain["dataset"]["root"])
    if root.is_absolute():
        plain["dataset"]["root"] = f"…/{root.name}"
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
