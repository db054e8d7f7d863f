"""A project's store, open for questions: what `pool5.open` gives, and what the service answers from."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from ..datasets.manifest import Manifest, image_addresses, read_manifest
from ..errors import NotThere, UserError
from ..files.digests import digest_of
from ..files.hints import did_you_mean
from ..images.address import Address
from ..params import Metric, Params, load_params, problem_with_words
from ..project import Project
from ..search.random_pairs import RandomPairs
from ..search.searcher import Neighbor, Searcher
from ..store.feature_file import FeatureFile
from ..store.open_layer import features_path
from .answers import Answer, Answers
from .embedder import Embedder, InProcess
from .question import Question, question_of

__all__ = ["Answer", "Answers", "OpenStore"]

_AT_ONCE = 4  # layers side by side


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
        self.state = digest_of([msgspec.to_builtins(params), self._digests()])
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
            raise NotThere(f"no layer {layer} is stored{hint}; there are {', '.join(self.layers)}")
        split = split or self.params.dataset.test
        if split not in self.layers[layer]:
            raise NotThere(f"{layer}: not stored of split {split}; it is of {', '.join(self.layers[layer])}")
        name, _, own = layer.partition("/")
        return self.features[name, split], own

    def files_of(self, name: str) -> list[FeatureFile]:
        """The feature files of a model or a derived layer, a split each."""
        return [file for (own, _), file in self.features.items() if own == name]

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
        if (name := question.id_in(searcher.features)) is not None:
            found = searcher.query(name, k, classes)
        else:
            vector, without = self.vector(question, searcher), question.ids_in(searcher.features)
            (found,) = searcher.query(vector, k, classes, without=without)
        return self.described(question, layer, searcher, found)

    def vector(self, question: Question, searcher: Searcher) -> np.ndarray:
        """The (1, D) question in the space of a layer; raises as `Question.vector`."""
        features = searcher.features
        beside = self.files_of(features.model)
        return question.vector(features, searcher.layer, self.embedder, beside)

    def ask(
        self,
        *ids: str,
        image: str | Path | Sequence[str | Path] = (),
        text: str | Sequence[str] = (),
        vector: np.ndarray | None = None,
        minus: str | Sequence[str] = (),
        of: str | Sequence[str] = (),
        k: int = 4,
        classes: str | Sequence[str] = (),
        split: str | None = None,
        metric: Metric | None = None,
    ) -> Answers:
        """Ask several layers the same; in a notebook, a table with their answers side by side.

        Parameters
        ----------
        ids : images of the data set
        image : image files
        text : what to ask in words; of layers that lie in one space with texts
        vector : (D,) array
        minus : ids, image files or texts that are taken away
        of : layers, as `<model>/<layer>`
            By default the first four that can be asked this.
        k, classes, split, metric : as in `answer`

        Raises
        ------
        UserError
            As `answer`, or if no layer can be asked this.
        """
        known = _each(of) or self._of_split(split)[:1]
        features, own = self.file(known[0], split)
        question = question_of(
            features,
            own,
            ids=ids,
            images=_each(image),
            texts=_each(text),
            vectors=[] if vector is None else [vector],
            minus=_each(minus),
            files=True,
            beside=self.files_of(features.model),
        )
        layers = _each(of) or self.layers_for(question, split)[:_AT_ONCE]
        answers = [
            self.answer(question, layer, k, _each(classes), split=split, metric=metric) for layer in layers
        ]
        return Answers(answers, self.address)

    def layers_for(self, question: Question, split: str | None = None) -> list[str]:
        """The layers of a split that can be asked this, as far as texts and the width of vectors tell.

        Raises
        ------
        UserError
            If there are none.
        """
        there, widths = self._of_split(split), question.widths
        able = there
        if texts := question.named("text"):
            able = [layer for layer in able if not problem_with_words(self.params, layer)]
        if widths:
            able = [layer for layer in able if widths == {self.searcher(layer, split).width}]
        if not able:
            lacks = f"lies in one space with the text “{texts[0]}”" if texts else "has as many values"
            raise UserError(f"{question}: no layer {lacks}; there are {', '.join(there)}")
        return able

    def address(self, name: str, split: str | None = None) -> Address | None:
        """Where an image is; of an id that a split does not have, in the first of the others that does."""
        order = sorted(self.addresses, key=lambda other: other != split)
        return next((self.addresses[each][name] for each in order if name in self.addresses[each]), None)

    def described(
        self, question: Question, layer: str, searcher: Searcher, found: Sequence[Neighbor]
    ) -> Answer:
        """What a search found, beside random pairs."""
        features = searcher.features
        pairs = self.random_pairs(layer, features.split, searcher.metric)
        return Answer(
            question=question,
            layer=layer,
            split=features.split,
            metric=searcher.metric,
            searched=len(features) - len(question.ids_in(features)),
            neighbors=tuple(found),
            as_near=tuple(
                pairs.shares([near.distance for near in found])
                if question.is_one_image
                else [None] * len(found)
            ),
            pairs=len(pairs),
            state=self.state,
            layer_digest=features.layer_digest(searcher.layer),
        )

    def _of_split(self, split: str | None) -> list[str]:
        split = split or self.params.dataset.test
        if there := [layer for layer, splits in self.layers.items() if split in splits]:
            return there
        raise NotThere(f"nothing is stored of split {split}; there are {', '.join(self.splits)}")

    def _digests(self) -> list[list[str]]:
        return [
            [name, split, layer, file.ids_digest, file.labels_digest, file.layer_digest(layer)]
            for (name, split), file in sorted(self.features.items())
            for layer in file.layers
        ]


def _each(given: str | Path | Sequence[str | Path]) -> list[str]:
    """One or several names, as a list."""
    return [str(given)] if isinstance(given, str | Path) else [str(name) for name in given]
