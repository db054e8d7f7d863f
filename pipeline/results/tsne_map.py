"""What the stage `tsne` finds of one layer: a map of its images, and how far to trust it."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from .record import Part, Record


class ClassOnMap(Part, frozen=True):
    """Over the images of a class: the share of their nearest that show the class as well.

    On the map, in the layer, and among all other images (chance). A class in fewer than two images has none.
    """

    class_name: str
    purity: float
    purity_in_layer: float
    chance: float


class KeptMap(Part, frozen=True):
    """Of a map that keeps its points (`tsne.keep`): the map that was made, and what was placed into it since.

    Attributes
    ----------
    digest : str
        Of the ids and points of the map that was made.
    images : int
        That it was made of.
    gone : int
        How many of these are not on the map any more.
    placed : tuple of str
        Ids of the images that were placed into it, in the order of the map's.
    knn_preservation : float or None
        As that of the map, over the placed images alone.
    """

    digest: str
    images: int
    gone: int = 0
    placed: tuple[str, ...] = ()
    knn_preservation: float | None = None


class TsneResult(Record, frozen=True):
    """A t-SNE map of a sample of a split.

    Where none can be made, there are no points and no measures, and `gaps` says why.

    Attributes
    ----------
    layer : str
        <model>/<layer>
    images : int
        How many were drawn from the split.
    perplexity : float
        That of the map: lower than the one asked for where there are too few images for it.
    seed : int
    backend : str or None
        sklearn or opentsne
    ids : tuple of str
    points : tuple of (x, y)
        In the order of `ids`, with five decimals.
    neighbors : int or None
        How many nearest images the measures look at.
    kl : float or None
        Kullback-Leibler divergence of the map's similarities from the layer's, in nats; None where images
        were placed into the map or are gone from it.
    trustworthiness : float or None
        Venna and Kaski (2001), of the `neighbors` nearest: 1 if no false neighbors are on the map.
    knn_preservation : float or None
        Share of the `neighbors` nearest images in the layer that are among the nearest on the map.
    stability : float or None
        Share of the nearest on the map that further maps from random starts have as well, on average.
    by_class : tuple of ClassOnMap
    kept : KeptMap
        Set where `tsne.keep` is; where it is not, the record says nothing of it.
    gaps : tuple of str
        What there is not, and why.
    """

    stage: ClassVar[str] = "tsne"
    method: ClassVar[str] = "tsne"
    title: ClassVar[str] = "t-SNE"

    layer: str
    split: str
    images: int
    perplexity: float
    seed: int
    backend: str | None = None
    ids: tuple[str, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    neighbors: int | None = None
    kl: float | None = None
    trustworthiness: float | None = None
    knn_preservation: float | None = None
    stability: float | None = None
    by_class: tuple[ClassOnMap, ...] = ()
    kept: KeptMap | UnsetType = UNSET
    gaps: tuple[str, ...] = ()

    def made_of(self) -> tuple[tuple[str, ...], tuple[tuple[float, float], ...]]:
        """The ids and points of the images that the map was made of, without what was placed into it."""
        placed = set(self.kept.placed) if self.kept else set()
        made = [place for place, name in enumerate(self.ids) if name not in placed]
        return tuple(self.ids[place] for place in made), tuple(self.points[place] for place in made)

    def metrics(self) -> dict[str, Any]:
        """What `dvc metrics` shows: the measures that there are, with six decimals."""
        single = {
            name: None if (value := getattr(self, name)) is None else round(value, 6)
            for name in ("kl", "trustworthiness", "knn_preservation", "stability")
        }
        by_class = {
            name: {part.class_name: round(getattr(part, name), 6) for part in self.by_class}
            for name in ("purity", "purity_in_layer", "chance")
        }
        told = {"backend": self.backend, "images": self.images, "neighbors": self.neighbors}
        if self.kept:
            told["placed"] = len(self.kept.placed)
        return {name: value for name, value in (told | single | by_class).items() if value is not None}
