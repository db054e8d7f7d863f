"""What was run: the data set, the models, the stored layers, and the parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import yaml

from ..datasets.manifest import Manifest, read_manifest
from ..models.card import ModelCard, read_card
from ..models.weights_header import count_parameters
from ..params import Params
from ..params.recipes import without_how
from ..project import Project
from ..store.feature_file import FeatureFile
from ..store.open_layer import features_path


@dataclasses.dataclass(frozen=True)
class Provenance:
    """All that the section on what was run tells.

    Attributes
    ----------
    splits : (train, test)
    cards : {model: card}
    features : {model or derived layer: its feature file of the test split}
    derived : {derived layer: the layer that it is computed from}
    parameters : {model: how many its network has, or None}
    row : str
        What a row of them is called: an image or, where the data set asks for it, an object.
    params : str
        As a params.yaml, without what decides no result.
    """

    dataset: str
    splits: tuple[Manifest, Manifest]
    cards: Mapping[str, ModelCard]
    features: Mapping[str, FeatureFile]
    derived: Mapping[str, str]
    parameters: Mapping[str, int | None]
    row: str
    params: str

    @property
    def label_counts(self) -> list[tuple[str, str, list[int]]]:
        """(split, kind of label, images a class), of the labels that are present and those only difficult."""
        return [
            (split.split, kind, split.labels.count(value).tolist())
            for split in self.splits
            for kind, value in (("present", 1), ("only difficult", 0))
        ]


def read_provenance(params: Params, test: Manifest, project: Project) -> Provenance:
    """Gather it from the manifests, the models' cards and the heads of the feature files, where they are."""
    names = [*params.models, *params.derive]
    paths = {name: features_path(name, test.split, params, project) for name in names}
    folders = {model: project.model(model) for model in params.models}
    return Provenance(
        dataset=params.dataset.name,
        splits=(read_manifest(project.manifest(params.dataset.train)), test),
        cards={model: read_card(folder) for model, folder in folders.items() if folder.is_dir()},
        features={name: FeatureFile.open(path) for name, path in paths.items() if path.is_file()},
        derived={name: derived.of for name, derived in params.derive.items()},
        parameters={model: count_parameters(folder) for model, folder in folders.items()},
        row="object" if params.dataset.objects else "image",
        params=_as_yaml(params),
    )


def _as_yaml(params: Params) -> str:
    """The parameters as a params.yaml, without what is the machine's."""
    plain = without_how(params)
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
    return text
