"""The linear probe: how much of the classes a linear classifier can read from a layer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import save

from ..files.atomic import atomic_write
from ..files.digests import sha256_of_file
from ..files.hints import some_of
from ..params import Probe as ProbeParams
from ..params import split_reference
from ..results.ap import or_none
from ..results.probe import ProbedClass, ProbeResult, TrainedProbe
from ..results.record import save_record
from ..search.vectors import check_finite
from ..store.feature_file import FeatureFile
from ..store.logits_file import LogitsFile, write_logits
from .logistic_regression import LinearClassifier, LogisticRegression
from .regularisation import choose_regularisation

LOGITS, WEIGHTS, RECORD = "logits.h5", "weights.safetensors", "probe.json"
_TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class Probe:
    """A trained probe.

    Attributes
    ----------
    classifier : LinearClassifier
        On L2-normalised features, a row of weights a class. A class that was not trained has no weights: its
        logit is the same for every image.
    record : TrainedProbe
        What is told of it.
    """

    classifier: LinearClassifier
    record: TrainedProbe

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, K) float32 logits of (N, D) features as they are stored."""
        return self.classifier.logits(normalise(features)).astype(np.float32)


def probe_layer(
    name: str, settings: ProbeParams, train: FeatureFile, test: FeatureFile, folder: Path
) -> None:
    """Train a probe on a stored layer and write its logits, weights and record into `folder`.

    Raises
    ------
    UserError
        If the layer holds values that are not finite.
    """
    _, layer = split_reference(settings.of)
    for file in (train, test):
        check_finite(file.layer(layer), file.ids, file.model, f"{settings.of} on {file.split}")
    probe = train_probe(train.layer(layer), train.labels, train.classes, settings, name)
    write_weights(folder / WEIGHTS, probe, train.key(layer))
    logits = LogitsFile(
        of=settings.of,
        split=test.split,
        key=test.key(layer),
        classes=test.classes,
        ids=test.ids,
        labels=test.labels,
        logits=probe.logits(test.layer(layer)),
    )
    write_logits(folder / LOGITS, logits)
    record = msgspec.structs.replace(probe.record, weights_sha256=sha256_of_file(folder / WEIGHTS))
    save_record(ProbeResult(probes=(record,), gaps=gaps_of(record, train.split)), folder / RECORD)


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
    """
    rows = normalise(features)
    positives, negatives = (labels == 1).sum(axis=0), (labels == -1).sum(axis=0)
    trained = np.flatnonzero((positives >= 1) & (negatives >= 1))
    validated = np.flatnonzero((positives >= 2) & (negatives >= 2))
    # log-odds with half an image added on each side, which stay finite
    bias = np.log((positives + 0.5) / (negatives + 0.5)).astype(rows.dtype)
    weight = np.zeros((len(classes), rows.shape[1]), rows.dtype)
    C, cv_ap = np.full(len(classes), np.nan), np.full(len(classes), np.nan)
    unsolved = np.zeros(len(classes), bool)
    shared, losses = None, {}
    if len(validated):
        model = LogisticRegression(rows)
        choice = choose_regularisation(
            model, rows, labels[:, validated], settings.C, settings.folds, settings.seed
        )
        shared = choice.shared
        C[trained] = shared
        C[validated], cv_ap[validated] = choice.C, choice.ap
        fit = model.fit(labels[:, trained], C[trained], tolerance=_TOLERANCE)
        weight[trained], bias[trained] = fit.weight, fit.bias
        unsolved[validated] = choice.unsolved
        unsolved[trained[list(fit.unsolved)]] = True
        losses = {f"{c:g}": loss for c, loss in zip(settings.C, choice.log_loss.tolist(), strict=True)}
    by_class = tuple(
        ProbedClass(class_name=name, C=or_none(c), cv_ap=or_none(ap), converged=not left)
        for name, c, ap, left in zip(classes, C, cv_ap, unsolved.tolist(), strict=True)
    )
    record = TrainedProbe(name=name, of=settings.of, classes=by_class, shared_C=shared, cv_log_loss=losses)
    return Probe(LinearClassifier(weight, bias), record)


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
    return tuple(f"probe {record.name}: {gap}" for gap in gaps)


def normalise(features: np.ndarray) -> np.ndarray:
    """Rows of unit length in float32; a row of zeros stays one."""
    rows = np.asarray(features, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))


def write_weights(path: Path | str, probe: Probe, key: dict[str, Any]) -> None:
    """Write `weight` (K, D) and `bias` (K,) as safetensors, with what they belong to in the header."""
    about = {
        "C": {each.class_name: each.C for each in probe.record.classes},
        "classes": [each.class_name for each in probe.record.classes],
        "feature_key": key,
        "features": "L2-normalised",
        "of": probe.record.of,
    }
    # one entry only: safetensors writes several in an order that differs from run to run
    metadata = {"pool5": json.dumps(about, sort_keys=True)}
    tensors = {"bias": probe.classifier.bias, "weight": probe.classifier.weight}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, metadata))
