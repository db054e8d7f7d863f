"""How alike two layers are: beside thingsvision and SciPy, and how often the intervals hold what is true."""

from __future__ import annotations

import contextlib
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy.linalg import orthogonal_procrustes

from benchmarks.contest import DIFFERENT, Peer, Row, contest, timed
from benchmarks.peer_environment import PeerProcess
from pool5.analysis.layer_neighbors import LayerNeighbors
from pool5.analysis.layers.intervals import interval, resampled
from pool5.measures import CKA, RSA, NeighborOverlap, Procrustes
from pool5.measures.bootstrap import bootstrap_counts
from pool5.measures.representation import Representation, RepresentationMeasure

_K = 10
_RESAMPLES = 1000
_OF_COPIES = 60
# images, values of a layer, and of how many clusters the images are; none: of one cloud
_WORLDS = ((200, 20, 0), (200, 20, 6), (100, 300, 0))


def two_layers(
    count: int, widths: tuple[int, int], noise: float, clusters: int, random: np.random.Generator
) -> list[np.ndarray]:
    """What two networks make of the same images: not negative, with something in common."""
    seen = random.standard_normal((count, 8))
    if clusters:
        centres = np.random.default_rng(7).standard_normal((clusters, 8)) * 2
        seen += centres[random.integers(clusters, size=count)]
    fixed = np.random.default_rng(99)
    mixing = [fixed.standard_normal((8, width)) for width in widths]
    raw = [seen @ each + noise * random.standard_normal((count, each.shape[1])) for each in mixing]
    return [np.maximum(each, 0).astype(np.float32) for each in raw]


def representation_rows(scratch: Path, count: int, widths: tuple[int, int], runs: int) -> list[Row]:
    """Each measure of two layers with its intervals and chance, beside a peer's value alone."""
    first, second = two_layers(count, widths, 4.0, 20, np.random.default_rng(0))
    np.save(scratch / "first.npy", first)
    np.save(scratch / "second.npy", second)
    given = f"{count} x {widths[0]} and {count} x {widths[1]}, float32"
    rows = []
    for measure in (CKA(), RSA()):
        with contextlib.ExitStack() as processes:
            peer = _thingsvision(scratch, str(measure), processes)
            work = timed(lambda measure=measure: _with_interval(measure, first, second))
            rows += contest(str(measure), given, "Pool5, with 1000 resamples and chance", work, [peer], runs)
    scipy = Peer(
        "SciPy orthogonal_procrustes",
        version("scipy"),
        timed(lambda: _procrustes(first, second)),
        _same_value,
        note="the value alone; ours has 20 permutations for chance beside it",
    )
    work = timed(lambda: _with_interval(Procrustes(), first, second))
    rows += contest("Procrustes", given, "Pool5, with 1000 resamples and chance", work, [scipy], runs)
    return rows


def coverage_rows(draws: int) -> list[Row]:
    """How often 95 % intervals hold the true value, beside the bootstrap that takes copies for images."""
    rows = []
    for count, width, clusters in _WORLDS:
        random = np.random.default_rng(0)
        drawn = [two_layers(count, (width, width + 4), 1.0, clusters, random) for _ in range(draws)]
        for measure in (CKA(), RSA(), NeighborOverlap(_K), Procrustes(permutations=1)):
            few = drawn[: draws // 25]
            plain = Peer(
                "bootstrap of copies",
                f"NumPy {np.__version__}",
                timed(lambda few=few, measure=measure: [_of_copies(measure, *layers) for layers in few]),
                _both_coverages,
                note=f"{len(few)} draws of {_OF_COPIES} resamples; an image drawn twice is at 0 of its copy",
            )
            ours = timed(lambda drawn=drawn, measure=measure: _intervals(measure, drawn))
            given = f"{draws} draws of {count} x {width} and {width + 4}, {clusters or 'no'} clusters"
            rows += contest(f"interval of {measure}", given, "Pool5", ours, [plain], 1)
    return rows


def coverage(found: list[tuple[float, float, float]], true: float) -> float:
    """The share of (value, lo, hi) whose interval holds the true value."""
    return float(np.mean([lo <= true <= hi for _, lo, hi in found]))


def _both_coverages(ours: list[tuple[float, float, float]], theirs: list[tuple[float, float, float]]) -> str:
    true = float(np.mean([value for value, *_ in ours]))  # at this number of images
    held = coverage(ours, true)
    told = f"holds the true value in {held:.1%} of draws, the peer's in {coverage(theirs, true):.1%}"
    return told if 0.93 <= held <= 0.97 else f"{DIFFERENT}{told}"


def _intervals(
    measure: RepresentationMeasure, drawn: list[list[np.ndarray]]
) -> list[tuple[float, float, float]]:
    return [_with_interval(measure, *layers, seed) for seed, layers in enumerate(drawn)]


def _with_interval(
    measure: RepresentationMeasure, first: np.ndarray, second: np.ndarray, seed: int = 0
) -> tuple[float, float, float]:
    likeness = measure.compare(*(measure.prepare(_represented(measure, each)) for each in (first, second)))
    draws = resampled(np.array([likeness.value]), likeness.influences[:, None], _RESAMPLES, seed)
    return likeness.value, *interval(draws[:, 0])


def _represented(measure: RepresentationMeasure, vectors: np.ndarray) -> Representation:
    """With neighbors where they are asked for."""
    if not isinstance(measure, NeighborOverlap):
        return Representation(vectors, np.empty((len(vectors), 0), np.int64))
    return Representation(vectors, LayerNeighbors.found(vectors, "cosine", _K + 1).rows)


def _of_copies(
    measure: RepresentationMeasure, first: np.ndarray, second: np.ndarray
) -> tuple[float, float, float]:
    """The percentile bootstrap as one would write it first: the rows that are drawn, with their copies."""
    counts = bootstrap_counts(len(first), _OF_COPIES, 0).astype(int)
    everything = np.arange(len(first))
    values = []
    for rows in (everything, *(np.repeat(everything, column) for column in counts.T)):
        sides = (measure.prepare(_represented(measure, each[rows])) for each in (first, second))
        values.append(measure.compare(*sides).value)
    return values[0], *interval(np.array(values[1:]))


def _thingsvision(scratch: Path, measure: str, processes: contextlib.ExitStack) -> Peer:
    files = {"first": str(scratch / "first.npy"), "second": str(scratch / "second.npy"), "measure": measure}
    process = PeerProcess("thingsvision_similarity", **files)
    processes.callback(process.stop)
    run = None if process.missing else process.run
    note = "the value alone"
    return Peer("thingsvision", process.version, run, _same_as_answer, process.missing, note)


def _same_as_answer(ours: tuple[float, float, float], answer: dict[str, float]) -> str:
    return _same_value(ours, answer["value"])


def _same_value(ours: tuple[float, float, float], theirs: float) -> str:
    told = f"{ours[0]:.7f} and {theirs:.7f}"
    return told if abs(ours[0] - theirs) <= 1e-6 else f"{DIFFERENT}{told}"


def _procrustes(first: np.ndarray, second: np.ndarray) -> float:
    """In float64."""
    centred = [each.astype(np.float64) - each.mean(axis=0, dtype=np.float64) for each in (first, second)]
    unit = [each / np.linalg.norm(each) for each in centred]
    # the part of the wider layer that can be turned onto the narrower one
    narrow, wide = sorted(unit, key=lambda each: each.shape[1])
    basis = np.linalg.qr(wide.T @ narrow)[0]
    _, fitted = orthogonal_procrustes(wide @ basis, narrow)
    return 2 - 2 * float(fitted)
