"""What the stage `outliers` finds: images far from all others, typical ones, and those that show little."""

from __future__ import annotations

from typing import Any, ClassVar

from .record import Part, Record


class Compared(Part, frozen=True):
    """What values are compared with: those of so many images.

    Attributes
    ----------
    median, spread : float
        See `measures.robust_score.Middle`; `spread` is 0 where all values are the same.
    logarithmic : bool
        Whether the spread is that of the values' logarithms.
    edges : (least, greatest)
    counts : tuple of int
        How many values there are in equal steps between the two.
    """

    images: int
    median: float
    spread: float
    logarithmic: bool
    edges: tuple[float, float]
    counts: tuple[int, ...]


class OddImage(Part, frozen=True):
    """An image and a value of it among those of others.

    Attributes
    ----------
    rank : int
        1 is the oddest; as many images as share a value share its best rank.
    quantile : float
        The share of the images that are less odd.
    score : float or None
        The distance from the median in spreads; None where all values are the same.
    nearest : str
        The id of its nearest image; '' where that is not what it is about.
    """

    split: str
    id: str
    value: float
    rank: int
    quantile: float
    score: float | None
    nearest: str = ""


class IsolatedGroup(Part, frozen=True):
    """Images that are near each other and far from all others.

    Attributes
    ----------
    ids : tuple of str
        The first of them, by row.
    images : int
        How many there are.
    odd : OddImage
        Its member that is nearest to an image outside, that distance, and what it is among the distances of
        all images to their nearest.
    """

    ids: tuple[str, ...]
    images: int
    odd: OddImage


class TypicalImage(Part, frozen=True):
    """An image, and how many others of its class have it among their nearest."""

    id: str
    named_by: int


class TypicalOfClass(Part, frozen=True):
    """The most typical images of a class.

    Attributes
    ----------
    images : int
        Of the class.
    median : float
        `named_by` of the image in the middle.
    typical : tuple of TypicalImage
        The one that most others name first.
    """

    class_name: str
    images: int
    median: float
    typical: tuple[TypicalImage, ...]


class OddInLayer(Part, frozen=True):
    """What is odd and what is typical among the images of a split, as a layer sees them.

    Attributes
    ----------
    layer : str
        <model>/<layer>
    k : int
        Which neighbor's distance counts; fewer than asked for where there are fewer.
    distances : Compared
        Of every image to its k-th neighbor.
    beyond : int
        Of how many the score is above `OutliersResult.cut`.
    odd : tuple of OddImage
        The farthest first.
    nearest : Compared
        Of every image to its nearest.
    isolated : int
        How many groups are beyond the cut.
    groups : tuple of IsolatedGroup
        The first of these, the most isolated first.
    """

    layer: str
    split: str
    k: int
    distances: Compared
    beyond: int
    odd: tuple[OddImage, ...]
    nearest: Compared
    isolated: int
    groups: tuple[IsolatedGroup, ...]
    typical: tuple[TypicalOfClass, ...]


class OddLooks(Part, frozen=True):
    """Pictures that look one way or another: dark, blurred, …

    Attributes
    ----------
    kind : str
    measure : str
        A column of looks.csv or what is made of some.
    above : bool
        Whether the odd ones have more of it than others, or less.
    bound : float
        A picture must have as much, or as little; whatever the others have.
    cut : float
        And its score must be above this.
    beyond : int
        How many pictures both is true of.
    odd : tuple of OddImage
        The first of them, the oddest first.
    """

    kind: str
    measure: str
    above: bool
    bound: float
    cut: float
    compared: Compared
    beyond: int
    odd: tuple[OddImage, ...]


class OutliersResult(Record, frozen=True):
    """Odd and typical images.

    Attributes
    ----------
    metric : str
        Of the distances.
    cut : float
        The score from which a distance is unusual.
    layers : tuple of OddInLayer
        A layer's training split, then its test split.
    pictures : int
        Whose looks were compared.
    looks : tuple of OddLooks
    gaps : tuple of str
    """

    stage: ClassVar[str] = "outliers"

    metric: str
    cut: float
    layers: tuple[OddInLayer, ...] = ()
    pictures: int = 0
    looks: tuple[OddLooks, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def by_layer(self) -> dict[str, list[OddInLayer]]:
        """{<model>/<layer>: its splits}."""
        found: dict[str, list[OddInLayer]] = {}
        for part in self.layers:
            found.setdefault(part.layer, []).append(part)
        return found

    def metrics(self) -> dict[str, Any]:
        """What DVC compares: how many images and groups are odd by layer and split, and pictures by kind."""
        found: dict[str, Any] = {"looks": {look.kind: look.beyond for look in self.looks}}
        for part in self.layers:
            found.setdefault(part.layer, {})[part.split] = {
                "beyond": part.beyond,
                "isolated_groups": part.isolated,
                "median_distance": part.distances.median,
            }
        return found
