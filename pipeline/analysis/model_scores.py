"""What the models and probes to be compared say about the same test images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..errors import UserError
from ..params import Params
from ..project import Project
from ..results.record import load_if_there
from ..results.training import TrainingResult
from ..store.feature_file import FeatureFile
from ..store.logits_file import read_logits


@dataclasses.dataclass(frozen=True)
class ModelScores:
    """Scores of several models on one test split.

    Attributes
    ----------
    classes : tuple of C str
    ids : (N,) array of str
    labels : (N, C) int8
        1 present, -1 absent, 0 only difficult instances.
    scores : {model: (N, C) float array}
        Logits, in the order asked for; none where there is nothing to score.
    gaps : tuple of str
        Why there is nothing to score.
    notes : tuple of str
        Whose outputs are taken to be the classes in their order, though nobody says so.
    """

    classes: tuple[str, ...]
    ids: np.ndarray
    labels: np.ndarray
    scores: dict[str, np.ndarray]
    gaps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load_scores(names: Sequence[str], params: Params, project: Project) -> ModelScores:
    """Read the test logits of models (their layer `logits`) and of probes.

    Raises
    ------
    UserError
        If a file is missing or damaged, or the files do not hold the same images and classes.
    """
    if not names:
        nothing = ("ap.of names no model and no probe: there is no average precision",)
        return ModelScores((), np.empty(0, np.str_), np.empty((0, 0), np.int8), {}, nothing)
    loaded = {name: _load(name, params, project) for name in names}
    first_name, first = next(iter(loaded.items()))
    for name, other in loaded.items():
        _check_same_images(first_name, first.ids, name, other.ids)
        if other.classes != first.classes or not np.array_equal(other.labels, first.labels):
            raise UserError(f"ap.of: {first_name} and {name} have different labels", rerun="extract")
    if not first.classes:
        return dataclasses.replace(
            first, scores={}, gaps=("the data set has no classes: there is no average precision",)
        )
    for name, each in loaded.items():
        _check_logits(name, each.scores[name], first.classes)
    scores = {name: each.scores[name] for name, each in loaded.items()}
    models = [name for name in names if name not in params.probe]
    return dataclasses.replace(first, scores=scores, notes=tuple(_doubts(models, first.classes, project)))


def _doubts(models: Iterable[str], classes: tuple[str, ...], project: Project) -> Iterator[str]:
    """A line for each model whose outputs are not known to be the data set's classes."""
    for name in models:
        made = load_if_there(TrainingResult, project.result(f"training/{name}"))
        if made is not None and (doubt := made.doubt(classes)):
            yield f"{name}: {doubt}"


def _load(name: str, params: Params, project: Project) -> ModelScores:
    if name in params.probe:
        probe = read_logits(project.probe(name))
        return ModelScores(probe.classes, probe.ids, probe.labels, {name: probe.logits})
    features = FeatureFile.open(project.features(name, params.dataset.test))
    scores = np.asarray(features.layer("logits"), np.float32)
    return ModelScores(features.classes, features.ids, np.asarray(features.labels), {name: scores})


def _check_logits(name: str, scores: np.ndarray, classes: Sequence[str]) -> None:
    if scores.shape[1] != len(classes):
        raise UserError(
            f"ap.of: {name} gives {scores.shape[1]} logits for {len(classes)} classes; "
            f"train it on this data set, or put a probe on one of its layers"
        )
    if bad := np.flatnonzero(~(np.isfinite(scores).all(axis=0))).tolist():
        raise UserError(
            f"ap.of: {name} has logits for {classes[bad[0]]} that are not finite; "
            "the model may have diverged in training"
        )


def _check_same_images(first: str, ids: np.ndarray, second: str, others: np.ndarray) -> None:
    if np.array_equal(ids, others):
        return
    only = sorted(set(ids.tolist()) ^ set(others.tolist()))
    found = f"{only[0]} is in one only" if only else "the order differs"
    between = f"{first} ({len(ids)} images) and {second} ({len(others)})"
    raise UserError(f"ap.of: {between} differ in their test images: {found}", rerun="extract")
