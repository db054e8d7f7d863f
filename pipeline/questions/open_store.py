"""A project's store, open for questions: what `pool5.open` gives, and what the service answers from."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..datasets.manifest import Manifest, read_manifest
from ..errors import UserError
from ..files.digests import digest_of
from ..files.hints import did_you_mean
from ..images.address import Address
from ..params import Metric, Params, load_params
from ..project import Project
from ..search.random_pairs import RandomPairs
from ..search.searcher import Neighbor, Searcher
from ..store.feature_file import FeatureFile
from ..store.open_layer import features_path
from .embedder import Embedder, InProcess
from .question import Question


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one layer answers.

    Attributes
    ----------
    question : Question
    layer : str
        `<model>/<layer>`.
    split : str
        Which was searched, and `searched` its number of images that could be found.
    metric : cosine, l2 or ip
    neighbors : tuple of Neighbor
        Nearest first.
    as_near : tuple of float or None
        For each of them, the share of random pairs of the split's images that are as near or nearer. None
        where the question is no single image: sums and words lie nearer to all, or farther from all.
    pairs : int
        How many random pairs that is of.
    state : str
        Of the store; answers with the same are of one state.
    layer_digest : str
        Of the layer's key and values.
    """

    question: Question
    layer: str
    split: str
    metric: Metric
    searched: int
    neighbors: tuple[Neighbor, ...]
    as_near: tuple[float | None, ...]
    pairs: int
    state: str
    layer_digest: str


class OpenStore:
    """One state of a project's store. What changes on the disk later does not change its answers.

    Attributes
    ----------
    project : Project
    params : Params
    features : {(model or derived layer, split): FeatureFile}
        All that there are, of those that params.yaml names.
    state : str
        A digest of the parameters and of all layers' keys and values.
    gaps : tuple of str
        What params.yaml names and is not stored.
    """

    def __init__(self, params: Params, project: Project, embedder: Embedder | None = None) -> None:
        self.project, self.params = project, params
        self.embedder = embedder or InProcess(params, project)
        self.features: dict[tuple[str, str], FeatureFile] = {}
        gaps = []
        for name in (*params.models, *params.derive):
            stage = "derive" if name in params.derive else "extract"
            folder = features_path(name, params.dataset.test, params, project).parent
            paths = sorted(folder.glob("*.h5"))
            self.features |= {(name, path.stem): FeatureFile.open(path, stage) for path in paths}
            gaps += [] if paths else [f"{name}: its features are not stored"]
        self.gaps = tuple(gaps)
        if not self.features:
            raise UserError(f"{project.feature_folders}: nothing is stored", rerun="extract")
        self.state = digest_of([self._parameters(), self._digests()])
        self._searchers: dict[tuple[str, str, Metric], Searcher] = {}
        self._pairs: dict[tuple[str, str, Metric], RandomPairs] = {}

    @classmethod
    def open(cls, project: Project | Path | str = Project(), embedder: Embedder | None = None) -> OpenStore:  # noqa: B008 - immutable
        """Open a project's store.

        Parameters
        ----------
        project : Project, or the path of its folder
        embedder : Embedder, optional
            What makes vectors of image files and words; by default this process does, with PyTorch.

        Raises
        ------
        UserError
            If params.yaml is not right, nothing is stored, or a file is damaged.
        """
        if not isinstance(project, Project):
            project = Project(Path(project))
        return cls(load_params(project.params), project, embedder)

    @functools.cached_property
    def layers(self) -> dict[str, tuple[str, ...]]:
        """{<model>/<layer>: the splits that it is stored of}, those of `neighbors.of` first."""
        found: dict[str, list[str]] = {}
        for (name, split), file in self.features.items():
            for layer in file.layers:
                found.setdefault(f"{name}/{layer}", []).append(split)
        first = [layer for layer in self.params.neighbors.of if layer in found]
        return {layer: tuple(found[layer]) for layer in dict.fromkeys([*first, *found])}

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that anything is stored of, the one of `dataset.test` first."""
        found = dict.fromkeys(split for _, split in self.features)
        return tuple(sorted(found, key=lambda split: split != self.params.dataset.test))

    @functools.cached_property
    def manifests(self) -> Mapping[str, Manifest]:
        """{split: its manifest}."""
        return {split: read_manifest(self.project.manifest(split)) for split in self.splits}

    @functools.cached_property
    def addresses(self) -> Mapping[str, Mapping[str, Address]]:
        """{split: {id: where the image is}}."""
        from ..datasets.manifest import image_addresses

        root = self.project.images(self.params.dataset.root)
        return {split: image_addresses(manifest, root) for split, manifest in self.manifests.items()}

    def file(self, layer: str, split: str | None = None) -> tuple[FeatureFile, str]:
        """The feature file that has a layer, of the split of `dataset.test` by default, and its name there.

        Raises
        ------
        UserError
            If there is no such layer, or not of that split.
        """
        if layer not in self.layers:
            hint = did_you_mean(layer, list(self.layers))
            raise UserError(f"no layer {layer} is stored{hint}; there are {', '.join(self.layers)}")
        split = split or self.params.dataset.test
        if split not in self.layers[layer]:
            raise UserError(f"{layer}: not stored of split {split}; it is of {', '.join(self.layers[layer])}")
        name, _, own = layer.partition("/")
        return self.features[name, split], own

    def searcher(self, layer: str, split: str | None = None, metric: Metric | None = None) -> Searcher:
        """The search of a layer; opened once. Raises as `file`."""
        file, own = self.file(layer, split)
        key = layer, file.split, metric or self.params.index.metric
        if key not in self._searchers:
            self._searchers[key] = Searcher(file, own, key[2])
        return self._searchers[key]

    def random_pairs(self, layer: str, split: str | None = None, metric: Metric | None = None) -> RandomPairs:
        """Of the images of a split in a layer; drawn once. Raises as `file`."""
        searcher = self.searcher(layer, split, metric)
        key = layer, searcher.features.split, searcher.metric
        if key not in self._pairs:
            self._pairs[key] = RandomPairs.among(searcher.features.layer(searcher.layer), searcher.metric)
        return self._pairs[key]

    def answer(
        self,
        question: Question,
        layer: str,
        k: int = 4,
        classes: Sequence[str] = (),
        *,
        split: str | None = None,
        metric: Metric | None = None,
    ) -> Answer:
        """What is nearest to a question in a layer; an image that takes part in it is not found.

        Raises
        ------
        UserError
            For a layer, split, id, class or term that is not there, or a `k` larger than what can be found.
        """
        searcher = self.searcher(layer, split, metric)
        features, (first, *further) = searcher.features, question.terms
        if not further and not first.minus and first.kind == "id" and first.what in features:
            found = searcher.query(first.what, k, classes)
        else:
            vector = question.vector(features, searcher.layer, self.embedder)
            (found,) = searcher.query(vector, k, classes, without=question.ids_in(features))
        return self.described(question, layer, searcher, found)

    def described(
        self, question: Question, layer: str, searcher: Searcher, found: Sequence[Neighbor]
    ) -> Answer:
        """What a search found, beside random pairs."""
        features, single = searcher.features, len(question.terms) == 1
        pairs = self.random_pairs(layer, features.split, searcher.metric)
        alone = single and question.terms[0].kind != "text" and not question.terms[0].minus
        return Answer(
            question=question,
            layer=layer,
            split=features.split,
            metric=searcher.metric,
            searched=len(features) - len(question.ids_in(features)),
            neighbors=tuple(found),
            as_near=tuple(pairs.share(near.distance) if alone else None for near in found),
            pairs=len(pairs),
            state=self.state,
            layer_digest=features.layer_digest(searcher.layer),
        )

    def _parameters(self) -> object:
        import msgspec

        return msgspec.to_builtins(self.params)

    def _digests(self) -> list[list[str]]:
        return [
            [name, split, layer, file.ids_digest, file.labels_digest, file.layer_digest(layer)]
            for (name, split), file in sorted(self.features.items())
            for layer in file.layers
        ]
