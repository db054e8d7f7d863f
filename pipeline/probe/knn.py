"""The kNN probe: the nearest training images vote, which needs no training at all.

The protocol is DINO's (Caron et al. 2021, "Emerging properties in self-supervised vision transformers",
eval_knn.py; after Wu et al. 2018, "Unsupervised feature learning via non-parametric instance
discrimination"): the k nearest by cosine similarity, each with a weight of exp(similarity / temperature).
There an image has one class; here it may have several, and the score of a class is the weighted share of the
neighbors that show it, among those that count for it. With one class an image that is DINO's sum of votes,
scaled to add up to one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..files.hints import some_of
from ..labels import Labels
from ..params import Probe as ProbeParams
from ..results.probe import ProbedClass, TrainedProbe
from ..search.exact import ExactSearch
from .kind import KeptProbe, Logits, Probe, ProbeTask

_VOTES_BYTES = 32 << 20


def decided_by(task: ProbeTask) -> dict[str, Any]:
    """How many vote, and with which weights."""
    return {"k": task.settings.k, "temperature": task.settings.temperature}


def train(task: ProbeTask) -> Probe:
    """All training images vote; what is kept is which they are, not their features once more."""
    file, settings = task.train, task.settings
    k = min(settings.k, len(file.ids))
    record = TrainedProbe(
        name=task.name,
        of=settings.of,
        kind="knn",
        classes=tuple(ProbedClass(class_name=name) for name in file.classes),
        k=k,
        temperature=settings.temperature,
    )
    return Probe(
        logits=train_few(file.layer(task.layer), file.labels, settings),
        tensors={"k": np.array(k), "temperature": np.array(settings.temperature)},
        about={"split": file.split, "layer": file.layer_digest(task.layer), "labels": file.labels_digest},
        record=record,
        gaps=_gaps(task),
    )


def held_out(task: ProbeTask, kept: KeptProbe) -> np.ndarray:
    """Every image is left out of its own vote; see `ProbeKind`."""
    file, settings = task.train, task.settings
    k = min(settings.k, len(file.ids) - 1)
    if k < 1:
        return np.full(file.labels.shape, np.nan, np.float32)
    features = file.layer(task.layer)
    search = ExactSearch(features, "cosine")
    distances, nearest = search.search(features, k, exclude=np.arange(len(features)))
    return vote(distances, file.labels, nearest, settings.temperature).astype(np.float32)


def train_few(features: np.ndarray, labels: np.ndarray, settings: ProbeParams) -> Logits:
    """See `ProbeKind.train_few`; where there are fewer than k rows, all of them vote."""
    search = ExactSearch(features, "cosine")
    k = min(settings.k, len(features))

    def logits(queries: np.ndarray) -> np.ndarray:
        distances, nearest = search.search(queries, k)
        return vote(distances, labels, nearest, settings.temperature).astype(np.float32)

    return logits


def vote(distances: np.ndarray, labels: np.ndarray, nearest: np.ndarray, temperature: float) -> np.ndarray:
    """The weighted share of the neighbors that show each class.

    Parameters
    ----------
    distances : (n, k) float array
        One minus the cosine, nearest first. At the same distance the earlier row is the nearer one.
    labels : (N, K) int array
        1 present, -1 absent, 0: the row has no vote on that class.
    nearest : (n, k) int array
        Rows of `labels`.
    temperature : float

    Returns
    -------
    (n, K) float64 array in [0, 1]
        Where no neighbor has a vote on a class, its share among all rows that do; 0 without any.
    """
    known = Labels.dense(labels)
    total = (len(labels) - known.count(0)).astype(np.float64)
    unknown = np.divide(known.count(1), total, out=np.zeros_like(total), where=total > 0)
    # from the nearest on, so that the largest weight is 1 at any temperature; the shares are the same
    with np.errstate(over="ignore", under="ignore"):
        weights = np.exp((distances[:, :1].astype(np.float64) - distances) / temperature)
    shares = np.empty((len(nearest), labels.shape[1]))
    step = max(_VOTES_BYTES // (8 * max(nearest.shape[1] * labels.shape[1], 1)), 1)
    for start in range(0, len(nearest), step):
        here = slice(start, start + step)
        said = labels[nearest[here]]
        showing = np.einsum("nk,nkc->nc", weights[here], (said == 1).astype(np.float64))
        counting = np.einsum("nk,nkc->nc", weights[here], (said != 0).astype(np.float64))
        unasked = np.broadcast_to(unknown, showing.shape).copy()
        shares[here] = np.divide(showing, counting, out=unasked, where=counting > 0)
    return shares


def _gaps(task: ProbeTask) -> tuple[str, ...]:
    file, k, gaps = task.train, task.settings.k, []
    if k > len(file.ids):
        gaps.append(f"k is {k}, and {file.split} has {len(file.ids)} images: all of them vote")
    known = (file.labels == 1).any(axis=0) & (file.labels == -1).any(axis=0)
    constant = [name for name, differs in zip(file.classes, known.tolist(), strict=True) if not differs]
    if not file.classes:
        gaps.append("the data set has no classes, so there is nothing to learn")
    elif constant:
        why = f"{some_of(constant)} on none or on all of the images of {file.split}"
        gaps.append(f"{why}; the shares of that class say nothing")
    return tuple(gaps)
