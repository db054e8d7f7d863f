"""An extraction as params.yaml asks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..datasets.manifest import Manifest, read_manifest
from ..images.address import Address
from ..models.card import read_card, settled_by
from ..params import Extract, Layer, Params, Preprocess
from ..project import Project
from ..store.feature_key import FeatureKey
from .keys import feature_keys
from .stored_network import StoredNetwork
from .work import ImageFiles, Network, Work


@dataclasses.dataclass(frozen=True)
class Job:
    """An extraction: the layers of one model on some splits.

    Attributes
    ----------
    model : str
    keys : {layer: FeatureKey}
    manifests : list of Manifest
        One a split.
    root : str
        That the manifests' paths start from.
    dataset : str
        The data set's name.
    """

    model: str
    keys: Mapping[str, FeatureKey]
    manifests: Sequence[Manifest]
    root: str
    dataset: str

    @property
    def images(self) -> ImageFiles:
        """Of all splits, one after the other."""
        paths = [path for manifest in self.manifests for path in manifest.paths.tolist()]
        digests = np.concatenate([manifest.digests for manifest in self.manifests])
        return ImageFiles([str(Address.parse(path, self.root)) for path in paths], digests)

    def work(
        self, extract: Extract, preprocess: Preprocess, load_network: Callable[..., Network], project: Project
    ) -> Work:
        """What is to be done to the images."""
        keys = {layer_of(key): key for key in self.keys.values()}  # two layers may be one under two names
        own, others = project.row_caches(extract.cache, extract.read_also)
        return Work(keys, load_network, extract, preprocess, (own, *others), self.model)


def layer_of(key: FeatureKey) -> Layer:
    """What a key's rows are of."""
    return Layer(node=key.node, pool=key.pool)


def job_of(model: str, params: Params, project: Project) -> tuple[Job, Preprocess, StoredNetwork]:
    """All layers of a model on the train and test splits, and what they are computed with.

    Raises
    ------
    UserError
        If the model or a manifest is missing.
    """
    asked = params.model(model)  # first: a name that is none has no card either
    spec = settled_by(read_card(project.model(model)), asked)
    job = Job(
        model,
        feature_keys(params, model, project.models),
        [read_manifest(project.manifest(split)) for split in splits_of(params)],
        project.images(params.dataset.root),
        params.dataset.name,
    )
    return job, spec.transform, StoredNetwork(project.model(model), spec, params.extract, project.root)


def splits_of(params: Params) -> list[str]:
    """The splits that are extracted."""
    return list(dict.fromkeys([params.dataset.train, params.dataset.test]))
