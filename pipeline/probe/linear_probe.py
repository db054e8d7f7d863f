"""The linear probe: how much of the classes a linear classifier can read from a layer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from ..errors import UserError
from ..files.atomic import atomic_write
from ..params import Probe as ProbeParams
from ..params import split_reference
from ..results.ap import or_none
from ..results.probe import ProbedClass, ProbeResult, TrainedProbe
from ..results.record import save_record
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
        check_finite(file.layer(layer), file.ids, f"{settings.of} on {file.split}")
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
    gaps = gaps_of(probe.record, train.split)
    save_record(ProbeResult(probes=(probe.record,), gaps=gaps), folder / RECORD)


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
        losses = {f"{c:g}": loss for c, loss in zip(settings.C, choice.log_loss.tolist(), strict=True)}
    by_class = tuple(
        ProbedClass(class_name=name, C=or_none(c), cv_ap=or_none(ap))
        for name, c, ap in zip(classes, C, cv_ap, strict=True)
    )
    record = TrainedProbe(name=name, of=settings.of, classes=by_class, shared_C=shared, cv_log_loss=losses)
    return Probe(LinearClassifier(weight, bias), record)


def gaps_of(record: TrainedProbe, split: str) -> tuple[str, ...]:
    """What a probe could not learn from the training split, and why."""
    constant = [each.class_name for each in record.classes if each.C is None]
    if not record.classes:
        return (f"probe {record.name}: the data set has no classes, so there is nothing to learn",)
    if record.shared_C is None:
        why = f"no class has two images of {split} that show it and two that do not"
        return (f"probe {record.name}: {why}; its logits say nothing",)
    if constant:
        why = f"{', '.join(constant)} on none or on all of the images of {split}"
        return (f"probe {record.name}: {why}; the logits of that class say nothing",)
    return ()


def normalise(features: np.ndarray) -> np.ndarray:
    """Rows of unit length in float32; a row of zeros stays one."""
    rows = np.asarray(features, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))


def check_finite(features: np.ndarray, ids: np.ndarray, of: str) -> None:
    """Refuse a layer with values that are no numbers; `UserError` names the first image."""
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise UserError(
            f"{of}: {len(bad)} of {len(ids)} images have features that are not finite, first {ids[bad[0]]}; "
            "the model may have diverged in training, or extract.precision is too low for it"
        )


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
