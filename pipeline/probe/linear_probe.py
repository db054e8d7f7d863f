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
from .logistic_regression import LinearClassifier, LogisticRegression
from .regularisation import choose_regularisation

_TOLERANCE = 1e-5


@dataclasses.dataclass(frozen=True)
class Probe:
    """A trained probe.

    Attributes
    ----------
    classifier : LinearClassifier
        On L2-normalised features, a row of weights a class. A class that the training split lacks has no
        weights: its logit is the same for every image.
    classes : tuple of K str
    C : (K,) float64
        NaN for a class that was not trained.
    shared : float
        The C that a class takes unless its own data speak for another.
    cv_ap : (K,) float64
        Held-out AP (`sklearn` protocol); NaN for a class that was not cross-validated.
    cv_log_loss : {C: float}
        Held-out log-loss, mean over classes.
    """

    classifier: LinearClassifier
    classes: tuple[str, ...]
    C: np.ndarray
    shared: float
    cv_ap: np.ndarray
    cv_log_loss: dict[float, float]

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, K) float32 logits of (N, D) features as they are stored."""
        return self.classifier.logits(normalise(features)).astype(np.float32)

    @property
    def constant(self) -> list[str]:
        """The classes that the training split has no positive (or no negative) image of."""
        return [name for name, C in zip(self.classes, self.C, strict=True) if np.isnan(C)]

    def metrics(self) -> dict[str, Any]:
        """What `dvc metrics` shows; None where there is no value."""
        trained = ~np.isnan(self.cv_ap)
        return {
            "C": _by_class(self.classes, self.C),
            "cv_ap": _by_class(self.classes, self.cv_ap),
            "cv_log_loss": {f"{C:g}": loss for C, loss in self.cv_log_loss.items()},
            "cv_map": float(self.cv_ap[trained].mean()),
            "shared_C": self.shared,
        }


def train_probe(
    features: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    grid: Sequence[float],
    folds: int,
    seed: int,
) -> Probe:
    """Train a probe on the features of the training split.

    Parameters
    ----------
    features : (N, D) float array
        As stored; normalised here.
    labels : (N, K) int8
        1 present, -1 absent, 0 left out of that class.
    classes : sequence of K str
    grid : sequence of float
        The values of C to choose from.
    folds, seed : int
        Of the cross-validation.

    Raises
    ------
    UserError
        If no class has the two positive and two negative images that a cross-validation needs.
    """
    rows = normalise(features)
    positives, negatives = (labels == 1).sum(axis=0), (labels == -1).sum(axis=0)
    trained = np.flatnonzero((positives >= 1) & (negatives >= 1))
    validated = np.flatnonzero((positives >= 2) & (negatives >= 2))
    if len(validated) == 0:
        raise UserError(
            f"no class has two positive and two negative images among the {len(labels)} to train on: "
            "nothing can be learned; check the data set's labels"
        )
    model = LogisticRegression(rows)
    choice = choose_regularisation(model, rows, labels[:, validated], grid, folds, seed)
    C, cv_ap = np.full(len(classes), np.nan), np.full(len(classes), np.nan)
    C[trained] = choice.shared
    C[validated], cv_ap[validated] = choice.C, choice.ap
    fit = model.fit(labels[:, trained], C[trained], tolerance=_TOLERANCE)
    # log-odds with half an image added on each side, which stay finite
    bias = np.log((positives + 0.5) / (negatives + 0.5)).astype(rows.dtype)
    weight = np.zeros((len(classes), rows.shape[1]), rows.dtype)
    weight[trained], bias[trained] = fit.weight, fit.bias
    losses = dict(zip(grid, choice.log_loss.tolist(), strict=True))
    return Probe(LinearClassifier(weight, bias), tuple(classes), C, choice.shared, cv_ap, losses)


def normalise(features: np.ndarray) -> np.ndarray:
    """Rows of unit length in float32; a row of zeros stays one."""
    rows = np.asarray(features, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def check_finite(features: np.ndarray, ids: np.ndarray, of: str) -> None:
    """Refuse a layer with values that are no numbers; `UserError` names the first image."""
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise UserError(
            f"{of}: {len(bad)} of {len(ids)} images have features that are not finite, first {ids[bad[0]]}; "
            "the model may have diverged in training, or extract.precision is too low for it"
        )


def write_weights(path: Path | str, probe: Probe, of: str, key: dict[str, Any]) -> None:
    """Write `weight` (K, D) and `bias` (K,) as safetensors, with what they belong to in the header."""
    about = {
        "C": _by_class(probe.classes, probe.C),
        "classes": probe.classes,
        "feature_key": key,
        "features": "L2-normalised",
        "of": of,
    }
    # one entry only: safetensors writes several in an order that differs from run to run
    metadata = {"pool5": json.dumps(about, sort_keys=True)}
    tensors = {"bias": probe.classifier.bias, "weight": probe.classifier.weight}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, metadata))


def _by_class(classes: Sequence[str], values: np.ndarray) -> dict[str, float | None]:
    return {
        name: None if np.isnan(value) else value for name, value in zip(classes, values.tolist(), strict=True)
    }
