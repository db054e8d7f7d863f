"""Every two layers by one measure."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from ...measures.representation import Likeness, Representation, RepresentationMeasure
from ...measures.rsa import RSA
from ...params import split_reference
from ...results.comparison import LABELS
from ...store.feature_file import FeatureFile
from ..layer_neighbors import LayerNeighbors


@dataclasses.dataclass(frozen=True)
class Pair:
    """What a measure says of two layers.

    Attributes
    ----------
    first, second, measure : str
    likeness : Likeness
        With influences of all N images: 0 for one that was not compared.
    images : int
        How many were.
    """

    first: str
    second: str
    measure: str
    likeness: Likeness
    images: int


def compare_pairs(
    measure: RepresentationMeasure,
    files: Mapping[str, FeatureFile],
    neighbors: Mapping[str, LayerNeighbors],
    seed: int,
) -> Iterator[Pair]:
    """Every two layers, and by RSA each with the labels, if the images show any classes.

    Where a measure compares fewer than all images, they are drawn: the same for all pairs.
    """
    count = len(next(iter(files.values())))
    vectors = {name: file.layer(split_reference(name)[1]) for name, file in files.items()}
    most = measure.images(count, [each.shape[1] for each in vectors.values()])
    drawn = np.sort(np.random.default_rng(seed).permutation(count)[:most])
    rows = slice(None) if most == count else drawn
    sides = {
        name: measure.prepare(Representation(vectors[name][rows], neighbors[name].rows[rows]))
        for name in files
    }
    labels = next(iter(files.values())).labels
    if isinstance(measure, RSA) and (labels == 1).any():
        sides[LABELS] = measure.of_labels(np.asarray(labels[rows]))
    for first, second in itertools.combinations(sides, 2):
        likeness = measure.compare(sides[first], sides[second])
        influences = np.zeros(count)
        influences[rows] = likeness.influences * (count / most)
        yield Pair(first, second, str(measure), dataclasses.replace(likeness, influences=influences), most)
