"""How alike the images lie in several layers, pair by pair, with what independent layers would give."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ...files.csv_file import decimals, write_csv
from ...measures.cka import CKA
from ...measures.neighbor_overlap import NeighborOverlap
from ...measures.procrustes import Procrustes
from ...measures.rsa import RSA
from ...params import Compare, Metric
from ...results.comparison import DISTANCE, LABELS, Closest, ComparedPair, CompareResult, DifferingPair, Merge
from ...store.feature_file import FeatureFile
from ..layer_neighbors import LayerNeighbors
from ..retrieval import check_same_images
from .intervals import interval, resampled
from .neighborhoods import differing_images
from .pairs import Pair, compare_pairs

_COLUMNS = ["first", "second", "measure", "value", "lo", "hi", "chance", "chance_sd", "images"]
_MOST_SHEETS = 10
_LEAST = 4  # images


def compare_layers(
    files: Mapping[str, FeatureFile],
    neighbors: Mapping[str, LayerNeighbors],
    split: str,
    metric: Metric,
    asked: Compare,
) -> CompareResult:
    """Compare every two layers by every measure, and each with the labels by RSA.

    Parameters
    ----------
    files : {<model>/<layer>: feature file}
        Of one split.
    neighbors : {<model>/<layer>: its neighbors}
        Those of each image among all; one more than `asked.k` of each.
    split : str
    metric : cosine, l2 or ip
        Of the neighbors.
    asked : Compare

    Raises
    ------
    UserError
        If the files do not hold the same images.
    """
    layers, count = tuple(files), 0
    if layers:
        features = check_same_images(list(files.values()))
        count = len(features)
    bare = CompareResult(split=split, images=count, metric=metric, layers=layers)
    if not layers:
        return msgspec.structs.replace(bare, gaps=("compare.of names no layer: none were compared",))
    if count < _LEAST:
        gaps = (f"{split} has {count} images; to compare layers takes {_LEAST}",)
        return msgspec.structs.replace(bare, gaps=gaps)
    k = min(asked.k, count - 2, *(near.rows.shape[1] - 1 for near in neighbors.values()))
    measures = [CKA(), RSA(), NeighborOverlap(k), Procrustes(asked.permutations, asked.seed)]
    found = [pair for measure in measures for pair in compare_pairs(measure, files, neighbors, asked.seed)]
    known = [pair for pair in found if not math.isnan(pair.likeness.value)]
    pairs, closest = _with_intervals(known, layers, asked)
    return msgspec.structs.replace(
        bare,
        measures=tuple(map(str, measures)),
        resamples=asked.bootstrap,
        k=k,
        pairs=pairs,
        closest=closest,
        tree=_tree(layers, pairs),
        differing=_differing(features, neighbors, pairs, k),
        gaps=tuple(_gaps(found, layers, features, k, asked)),
    )


def _with_intervals(
    found: Sequence[Pair], layers: Sequence[str], asked: Compare
) -> tuple[tuple[ComparedPair, ...], tuple[Closest, ...]]:
    """All pairs with their intervals, and of each layer the closest with that of its lead."""
    if not found:
        return (), ()
    values = np.array([pair.likeness.value for pair in found])
    influences = np.stack([pair.likeness.influences for pair in found], axis=1)
    draws = resampled(values, influences, asked.bootstrap, asked.seed)
    pairs = []
    for pair, drawn in zip(found, draws.T, strict=True):
        lo, hi = interval(drawn)
        part = ComparedPair(
            first=pair.first,
            second=pair.second,
            measure=pair.measure,
            value=pair.likeness.value,
            lo=lo,
            hi=hi,
            chance=pair.likeness.chance,
            chance_sd=pair.likeness.chance_sd,
            images=pair.images,
        )
        pairs.append(part)
    measures = dict.fromkeys(pair.measure for pair in found)
    closest = [_closest(layer, measure, pairs, draws) for measure in measures for layer in layers]
    return tuple(pairs), tuple(each for each in closest if each)


def _closest(layer: str, measure: str, pairs: Sequence[ComparedPair], draws: np.ndarray) -> Closest | None:
    """Which other layer is most like one, and by how much more than the next; None of fewer than two."""
    others = {
        number: pair.second if pair.first == layer else pair.first
        for number, pair in enumerate(pairs)
        if pair.measure == measure and layer in (pair.first, pair.second) and pair.second != LABELS
    }
    if len(others) < 2:
        return None
    sign = -1.0 if measure == DISTANCE else 1.0
    best, second = sorted(others, key=lambda number: -sign * pairs[number].value)[:2]
    lo, hi = interval(sign * (draws[:, best] - draws[:, second]))
    return Closest(
        layer=layer,
        measure=measure,
        closest=others[best],
        next=others[second],
        ahead=sign * (pairs[best].value - pairs[second].value),
        lo=lo,
        hi=hi,
    )


def _tree(layers: Sequence[str], pairs: Iterable[ComparedPair]) -> tuple[Merge, ...]:
    """Average linkage (Sokal and Michener 1958) of 1 - CKA; nothing for fewer than three layers."""
    known = {(pair.first, pair.second): 1 - pair.value for pair in pairs if pair.measure == CKA.name}
    wanted = list(itertools.combinations(layers, 2))
    if len(layers) < 3 or not known.keys() >= set(wanted):
        return ()
    from scipy.cluster.hierarchy import linkage

    merges = linkage([max(known[pair], 0.0) for pair in wanted], "average")
    return tuple(
        Merge(left=int(left), right=int(right), distance=float(distance))
        for left, right, distance, _ in merges.tolist()
    )


def _differing(
    features: FeatureFile, neighbors: Mapping[str, LayerNeighbors], pairs: Sequence[ComparedPair], k: int
) -> tuple[DifferingPair, ...]:
    """Of the pairs that share the fewest neighbors the images that share the fewest."""
    overlaps = [pair for pair in pairs if pair.measure == str(NeighborOverlap(k))]
    chosen = sorted(overlaps, key=lambda pair: pair.value)[:_MOST_SHEETS]
    return tuple(
        DifferingPair(
            first=pair.first,
            second=pair.second,
            sheet=f"differing-{number}",
            images=differing_images(features, neighbors, (pair.first, pair.second), k),
        )
        for number, pair in enumerate(chosen, start=1)
    )


def _gaps(
    found: Sequence[Pair], layers: Sequence[str], features: FeatureFile, k: int, asked: Compare
) -> list[str]:
    gaps = []
    if len(layers) == 1:
        gaps.append("compare.of names one layer: there is no other to compare it with")
    if k < asked.k:
        gaps.append(
            f"compare.k asks for {asked.k} neighbors; {k} are compared: neighbors.depth or images lack"
        )
    without = dict.fromkeys(
        f"{pair.measure} of {pair.first} and {pair.second}: one of them is the same for all images"
        for pair in found
        if math.isnan(pair.likeness.value)
    )
    gaps += without
    for measure, images in {pair.measure: pair.images for pair in found}.items():
        if images < len(features):
            gaps.append(f"{measure}: {images} of the {len(features)} images were drawn, as all take too long")
    if not (features.labels == 1).any():
        gaps.append(f"no image of {features.split} shows a class: nothing is held against the labels")
    return gaps


def write_comparison(result: CompareResult, path: Path | str) -> None:
    """Write the pairs as CSV, values to six decimals."""
    rows = [
        [
            *(pair.first, pair.second, pair.measure),
            *map(decimals, (pair.value, pair.lo, pair.hi, pair.chance, pair.chance_sd)),
            pair.images,
        ]
        for pair in result.pairs
    ]
    write_csv(path, _COLUMNS, rows)


def comparison_metrics(result: CompareResult) -> dict[str, Any]:
    """{first: {second: {measure: value}}}, to six decimals."""
    metrics: dict[str, Any] = {}
    for pair in result.pairs:
        metrics.setdefault(pair.first, {}).setdefault(pair.second, {})[pair.measure] = round(pair.value, 6)
    return metrics
