"""What the stage `maps` finds of one map of a layer: its points, and how far to trust it."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import field

from .record import Record
from .tsne_map import ClassOnMap


class MapResult(Record, frozen=True):
    """A map of images of a split, made by a method from a layer, or one's own points held against it.

    Where none can be made, there are no points and no measures, and `gaps` says why. The measures are those
    of `TsneResult`, so that maps of one layer can be compared.

    Attributes
    ----------
    layer : str
        <model>/<layer>
    method : str
        A name of `maps.methods.METHODS`, or that of the points in `maps.points`.
    title : str
        The method, as people write it.
    images : int
        On the map.
    seed : int
    decided : dict
        The numbers that the method went by; empty for one's own points.
    told : {name: float}
        What the method says of its map, as the share of the variance that PCA's axes hold.
    ids : tuple of str
    points : tuple of (x, y)
        In the order of `ids`, with six digits.
    neighbors : int or None
        How many nearest images the measures look at.
    trustworthiness, knn_preservation, stability : float or None
        `stability` is over maps from random starts; one's own points have none.
    by_class : tuple of ClassOnMap
    gaps : tuple of str
    """

    stage: ClassVar[str] = "maps"

    layer: str
    split: str
    method: str
    title: str
    images: int
    seed: int = 0
    decided: dict[str, Any] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    neighbors: int | None = None
    trustworthiness: float | None = None
    knn_preservation: float | None = None
    stability: float | None = None
    by_class: tuple[ClassOnMap, ...] = ()
    gaps: tuple[str, ...] = ()

    def metrics(self) -> dict[str, Any]:
        """What `dvc metrics` shows: the measures that there are, with six decimals."""
        measured = {
            name: getattr(self, name) for name in ("trustworthiness", "knn_preservation", "stability")
        }
        rounded = {
            name: round(value, 6) for name, value in (self.told | measured).items() if value is not None
        }
        return {"images": self.images} | rounded
