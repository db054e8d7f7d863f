"""What the stage `tsne` finds of one layer: a map of its images, and how far to trust it."""

from __future__ import annotations

from typing import ClassVar

from .record import Part, Record


class ClassOnMap(Part):
    """Over the images of a class: the share of their nearest that show the class as well.

    On the map, in the layer, and among all other images (chance). A class in fewer than two images has none.
    """

    class_name: str
    purity: float
    purity_in_layer: float
    chance: float


class TsneResult(Record):
    """A t-SNE map of a sample of a split.

    Where no map can be made, `ids`, `points` and `by_class` are empty, every measure and `backend` are None,
    and `gaps` says why.

    Attributes
    ----------
    layer : str
        <model>/<layer>
    images : int
        How many were drawn from the split.
    backend : str or None
        sklearn or opentsne
    perplexity : float
        That of the map: lower than the one asked for where there are too few images for it.
    seed : int
    ids : tuple of str
    points : tuple of (x, y)
        In the order of `ids`, with five decimals.
    neighbors : int or None
        How many nearest images the measures look at.
    kl : float or None
        Kullback-Leibler divergence of the map's similarities from the layer's, in nats.
    trustworthiness : float or None
        Venna and Kaski (2001), of the `neighbors` nearest: 1 if no false neighbors are on the map.
    knn_preservation : float or None
        Share of the `neighbors` nearest images in the layer that are among the nearest on the map.
    stability : float or None
        Share of the nearest on the map that further maps from random starts have as well, on average.
    by_class : tuple of ClassOnMap
    gaps : tuple of str
        What there is not, and why.
    """

    stage: ClassVar[str] = "tsne"

    layer: str
    split: str
    images: int
    backend: str | None
    perplexity: float
    seed: int
    ids: tuple[str, ...]
    points: tuple[tuple[float, float], ...]
    neighbors: int | None
    kl: float | None
    trustworthiness: float | None
    knn_preservation: float | None
    stability: float | None
    by_class: tuple[ClassOnMap, ...]
    gaps: tuple[str, ...] = ()
