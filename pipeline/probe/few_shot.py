"""What a few training images a class are worth: a probe is trained on draws of them, and measured on test.

After Goyal et al. 2019, "Scaling and benchmarking self-supervised visual representation learning" (low-shot
classification on VOC07): n positive images a class, several independent draws, AP of each class on the whole
test split. What differs from their code:

- The images that were drawn are the training set, for every class with all their labels. They draw (K - 1) n
  further negatives for each class apart.
- C is fixed. They train at ten costs and report the one with the highest AP on the test split.
- The interval is that of the mean over the draws. They report its standard deviation, least and highest.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

from ..files.hints import some_of
from ..measures.average_precision import AP, resampled_average_precision
from ..params import Protocol
from ..progress import progress
from ..results.ap import LEVEL, or_none
from ..results.few_shot import FewShotResult, FewShotRow
from ..results.record import save_record
from ..store.logits_file import read_logits
from .kind import ProbeTask
from .kinds import KINDS, decided_by
from .linear_probe import FEW_SHOT_C

FEW_SHOT = "few_shot.json"


def draw(labels: np.ndarray, classes: Sequence[str], shots: int, repeat: int, seed: int) -> np.ndarray:
    """The rows of one draw, ascending: `shots` positives of each class, or all where there are fewer.

    The generator of a class is seeded with (seed, shots, repeat, the class's name), so that a further number
    of examples, draw or class changes no other draw.

    Parameters
    ----------
    labels : (N, K) int array
    """
    drawn = [np.empty(0, np.int64)]
    for c, name in enumerate(classes):
        digest = hashlib.sha256(name.encode()).digest()
        rng = np.random.default_rng([seed, shots, repeat, int.from_bytes(digest[:8])])
        positives = np.flatnonzero(labels[:, c] == 1)
        drawn.append(rng.choice(positives, min(shots, len(positives)), replace=False))
    return np.unique(np.concatenate(drawn))


def few_shot_decided_by(task: ProbeTask, protocols: Sequence[Protocol]) -> dict[str, Any]:
    """All that decides the file of `measure_few_shot`, as plain JSON values."""
    settings = task.settings
    drawn = [sorted(set(settings.shots)), settings.repeats, settings.seed]
    return {**decided_by(task), "few_shot": drawn, "protocols": list(protocols)}


def measure_few_shot(task: ProbeTask, protocols: Sequence[Protocol], whole: Path, folder: Path) -> None:
    """Measure a probe at every number of `shots`, and write the record into `folder`.

    Parameters
    ----------
    task : ProbeTask
        Of a kind that learns from images.
    protocols : sequence of str
        Of average precision.
    whole : path
        The logits of the probe that was trained on the whole split: the end of the curve.
    """
    save_record(few_shot(task, protocols, read_logits(whole).logits), folder / FEW_SHOT)


def few_shot(task: ProbeTask, protocols: Sequence[Protocol], whole: np.ndarray) -> FewShotResult:
    """See `measure_few_shot`.

    It runs on one thread: a linear fit's last bits depend on how many share its sums.
    """
    settings, train = task.settings, task.train
    labels, truth = np.asarray(train.labels), np.asarray(task.test.labels)
    features, test = train.layer(task.layer), task.test.layer(task.layer)
    learn = KINDS[settings.kind].train_few
    assert learn is not None
    numbers = sorted(set(settings.shots)) if (labels == 1).any() else []
    draws = {
        n: [draw(labels, train.classes, n, repeat, settings.seed) for repeat in range(settings.repeats)]
        for n in numbers
    }
    measured: dict[int | None, _Measured] = {}
    with threadpool_limits(1):
        for n in progress(numbers, desc=f"few examples for {task.name}", unit="number"):
            scores = [learn(features[rows], labels[rows], settings)(test) for rows in draws[n]]
            measured[n] = _measure(scores, truth, [labels[rows] for rows in draws[n]], protocols)
    if numbers:
        measured[None] = _measure([whole], truth, [labels], protocols)
    return FewShotResult(
        probe=task.name,
        of=settings.of,
        kind=settings.kind,
        C=FEW_SHOT_C if settings.kind == "linear" else None,
        split=train.split,
        shots=tuple(numbers),
        repeats=settings.repeats,
        seed=settings.seed,
        images={str(n or "all"): each.images for n, each in measured.items()},
        rows=tuple(_rows(task, measured, protocols)) if numbers else (),
        gaps=tuple(f"few examples: {gap}" for gap in _gaps(task, draws)),
    )


@dataclasses.dataclass(frozen=True)
class _Measured:
    """One number of examples: AP by protocol (R, K), positives (K,) and images, both mean over R draws."""

    ap: dict[Protocol, np.ndarray]
    positives: np.ndarray
    images: float


def _measure(
    scores: Iterable[np.ndarray],
    truth: np.ndarray,
    drawn: Sequence[np.ndarray],
    protocols: Sequence[Protocol],
) -> _Measured:
    """AP of the scores of each draw, whose training labels are `drawn`."""
    once = np.ones((len(truth), 1))
    found = [resampled_average_precision(each, truth, protocols, once) for each in scores]
    return _Measured(
        ap={protocol: np.stack([ap[protocol][:, 0] for ap in found]) for protocol in protocols},
        positives=np.mean([(labels == 1).sum(axis=0) for labels in drawn], axis=0),
        images=float(np.mean([len(labels) for labels in drawn])),
    )


def _rows(
    task: ProbeTask, measured: Mapping[int | None, _Measured], protocols: Sequence[Protocol]
) -> Iterator[FewShotRow]:
    for protocol in protocols:
        known = ~np.isnan(measured[None].ap[protocol]).any(axis=0)
        members: list[tuple[str | None, np.ndarray]]
        members = [(name, np.arange(len(known)) == c) for c, name in enumerate(task.train.classes)]
        for name, inside in [*members, (None, known)]:
            for shots, each in measured.items():
                there = inside & known
                ap = each.ap[protocol][:, there].mean(axis=1) if there.any() else np.full(1, np.nan)
                mean, lo, hi = mean_with_interval(ap)
                yield FewShotRow(
                    probe=task.name,
                    class_name=name,
                    measure=str(AP(protocol)),
                    shots=shots,
                    ap=mean,
                    lo=lo,
                    hi=hi,
                    positives=float(each.positives[inside].mean()) if inside.any() else None,
                )


def mean_with_interval(values: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """The mean of (R,) values and its t-interval, within 0 and 1; no interval of a single one."""
    mean = or_none(float(values.mean()))
    if mean is None or len(values) < 2:
        return mean, None, None
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return mean, max(mean - float(half), 0.0), min(mean + float(half), 1.0)


def _gaps(task: ProbeTask, draws: Mapping[int, Sequence[np.ndarray]]) -> Iterator[str]:
    """What the draws lack."""
    split, labels = task.train.split, np.asarray(task.train.labels)
    names, positives = np.array(task.train.classes), (labels == 1).sum(axis=0)
    if not len(names):
        yield "the data set has no classes: there is nothing to draw"
    elif len(none := names[positives == 0].tolist()):
        yield f"no image of {split} shows {some_of(none)}: there is nothing to draw"
    if task.settings.repeats < 2:
        yield f"one draw has no interval; raise probe.{task.name}.repeats"
    if few := [(n, name) for n, name in zip(positives.tolist(), names, strict=True) if 0 < n < max(draws)]:
        shown = some_of([f"{name} ({n})" for n, name in sorted(few)])
        yield f"where {split} has fewer images of a class than are asked for, all are in every draw: {shown}"
    every = [labels[rows] for each in draws.values() for rows in each]
    alone = [(each == 1).any(axis=0) & ~(each == -1).any(axis=0) for each in every]
    if len(all_show := names[np.any(alone, axis=0)].tolist() if alone else []):
        yield f"every image of some draws shows {some_of(all_show)}: the class was not learned from these"
