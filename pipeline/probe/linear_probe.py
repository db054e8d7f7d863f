"""The linear probe: how much of the classes a linear classifier can read from a layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from ..files.hints import some_of
from ..params import Probe as ProbeParams
from ..results.ap import or_none
from ..results.probe import ProbedClass, TrainedProbe
from .kind import KeptProbe, Logits, Probe, ProbeTask
from .logistic_regression import LinearClassifier, LogisticRegression
from .regularisation import choose_regularisation, held_out_logits

# Of 0.1, 1, 10, 100 and 1000 the best or nearly so on a held-out quarter of the sample's training images, in
# three layers at 1, 4 and 16 images a class; one image alone ranks nearly the same whatever C is.
FEW_SHOT_C = 10.0
_TOLERANCE = 1e-5


def decided_by(task: ProbeTask) -> dict[str, Any]:
    """The grid of C, the folds, their seed, and the library that finds the principal directions."""
    settings = task.settings
    return {
        "C": settings.C,
        "folds": settings.folds,
        "seed": settings.seed,
        "scikit-learn": version("scikit-learn"),
    }


def train(task: ProbeTask) -> Probe:
    """A logistic regression a class, its C chosen by cross-validation."""
    file = task.train
    probe = train_probe(file.layer(task.layer), file.labels, file.classes, task.settings, task.name)
    return dataclasses.replace(probe, gaps=gaps_of(probe.record, file.split))


def held_out(task: ProbeTask, kept: KeptProbe) -> np.ndarray:
    """By its own cross-validation once more, at the C that it chose for each class; see `ProbeKind`."""
    file, settings = task.train, task.settings
    labels = np.asarray(file.labels)
    logits = np.full(labels.shape, np.nan, np.float32)
    positives, negatives = _counts(labels)
    validated = np.flatnonzero((positives >= 2) & (negatives >= 2))
    if len(validated):
        rows, C = normalise(file.layer(task.layer)), kept.about["C"]
        grid = np.array([[C[file.classes[c]] for c in validated]], np.float64)
        model = LogisticRegression(rows)
        (logits[:, validated],), _ = held_out_logits(
            model, rows, labels[:, validated], grid, settings.folds, settings.seed
        )
    return logits


def train_few(features: np.ndarray, labels: np.ndarray, settings: ProbeParams) -> Logits:
    """A logistic regression a class at `FEW_SHOT_C`; see `ProbeKind.train_few`."""
    positives, negatives = _counts(labels)
    C = np.where((positives >= 1) & (negatives >= 1), FEW_SHOT_C, np.nan)
    return _logits(_fit(normalise(features), labels, C))


def train_probe(
    features: np.ndarray, labels: np.ndarray, classes: Sequence[str], settings: ProbeParams, name: str = ""
) -> Probe:
    """Train a probe on the features of the training split.

    A class is trained if at least one image shows it and one does not, as soon as any class has the two of
    each that a cross-validation needs; without such a class nothing is known of C, and nothing is trained.

    Parameters
    ----------
    features : (N, D) float array
        As stored; normalised here.
    labels : (N, K) int8
        1 present, -1 absent, 0 left out of that class.
    classes : sequence of K str
    settings : ProbeParams
        The grid of C, the number of folds and their seed.

    Returns
    -------
    Probe
        With `weight` (K, D) and `bias` (K,) for L2-normalised features. A class that was not trained has no
        weights: its logit is the same for every image.
    """
    rows = normalise(features)
    positives, negatives = _counts(labels)
    trained = (positives >= 1) & (negatives >= 1)
    validated = np.flatnonzero((positives >= 2) & (negatives >= 2))
    C, cv_ap = np.full(len(classes), np.nan), np.full(len(classes), np.nan)
    unsolved = np.zeros(len(classes), bool)
    model, shared, losses = None, None, {}
    if len(validated):
        model = LogisticRegression(rows)
        choice = choose_regularisation(
            model, rows, labels[:, validated], settings.C, settings.folds, settings.seed
        )
        shared = choice.shared
        C[trained] = shared
        C[validated], cv_ap[validated] = choice.C, choice.ap
        unsolved[validated] = choice.unsolved
        losses = {f"{c:g}": loss for c, loss in zip(settings.C, choice.log_loss.tolist(), strict=True)}
    classifier = _fit(rows, labels, C, model)
    unsolved[list(classifier.unsolved)] = True
    by_class = tuple(
        ProbedClass(class_name=name, C=or_none(c), cv_ap=or_none(ap), converged=not left)
        for name, c, ap, left in zip(classes, C, cv_ap, unsolved.tolist(), strict=True)
    )
    return Probe(
        logits=_logits(classifier),
        tensors={"bias": classifier.bias, "weight": classifier.weight},
        about={"C": {each.class_name: each.C for each in by_class}, "features": "L2-normalised"},
        record=TrainedProbe(name=name, of=settings.of, classes=by_class, shared_C=shared, cv_log_loss=losses),
    )


def gaps_of(record: TrainedProbe, split: str) -> tuple[str, ...]:
    """What a probe could not learn from the training split, and why."""
    constant = [each.class_name for each in record.classes if each.C is None]
    unsolved = [each.class_name for each in record.classes if not each.converged]
    gaps = []
    if not record.classes:
        gaps.append("the data set has no classes, so there is nothing to learn")
    elif record.shared_C is None:
        why = f"no class has two images of {split} that show it and two that do not"
        gaps.append(f"{why}; its logits say nothing")
    elif constant:
        why = f"{some_of(constant)} on none or on all of the images of {split}"
        gaps.append(f"{why}; the logits of that class say nothing")
    if unsolved:
        gaps.append(
            f"the regression of {some_of(unsolved)} had not converged after 500 steps, in the last fit or a "
            f"fold, and its last step is taken; other values in probe.{record.name}.C may converge"
        )
    return tuple(gaps)


def normalise(features: np.ndarray) -> np.ndarray:
    """Rows of unit length in float32; a row of zeros stays one."""
    rows = np.asarray(features, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))


def _counts(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives of each class, (K,)."""
    return (labels == 1).sum(axis=0), (labels == -1).sum(axis=0)


def _fit(
    rows: np.ndarray, labels: np.ndarray, C: np.ndarray, model: LogisticRegression | None = None
) -> LinearClassifier:
    """A regression of each class at its C; a class whose C is NaN has no weights.

    `model` is prepared on `rows`, where it is there already.
    """
    positives, negatives = _counts(labels)
    # log-odds with half an image added on each side, which stay finite
    bias = np.log((positives + 0.5) / (negatives + 0.5)).astype(rows.dtype)
    weight = np.zeros((labels.shape[1], rows.shape[1]), rows.dtype)
    trained = np.flatnonzero(~np.isnan(C))
    if not len(trained):
        return LinearClassifier(weight, bias)
    model = model or LogisticRegression(rows)
    fit = model.fit(labels[:, trained], C[trained], tolerance=_TOLERANCE)
    weight[trained], bias[trained] = fit.weight, fit.bias
    return LinearClassifier(weight, bias, tuple(trained[list(fit.unsolved)].tolist()))


def _logits(classifier: LinearClassifier) -> Logits:
    return lambda features: classifier.logits(normalise(features)).astype(np.float32)
