"""What the stage `maps` finds of the groups that the images of a layer form."""

from __future__ import annotations

from typing import Any, ClassVar

from .record import Part, Record

NOISE = 0  # the number of what is in no cluster


class ClassInCluster(Part, frozen=True):
    """A class in a cluster, over the images for which it is certain.

    Attributes
    ----------
    class_name : str
    images : int
        Of the cluster, that show it.
    share : float
        Of the cluster's images.
    chance : float
        Its share of all clustered images: what a cluster drawn by lot would have.
    p_value : float
        Of so many or more in such a draw (hypergeometric).
    beyond_chance : bool
        Below 0.05 divided by the number of such tests (Bonferroni).
    """

    class_name: str
    images: int
    share: float
    chance: float
    p_value: float
    beyond_chance: bool


class Cluster(Part, frozen=True):
    """A group of images that lie near each other.

    Attributes
    ----------
    number : int
        From 1, the largest first.
    images : int
    silhouette : float or None
        Rousseeuw (1987), the mean of its images: 1 far from all other clusters, 0 between two.
    typical : tuple of str
        Ids of the images nearest to the mean of all in it, nearest first.
    classes : tuple of ClassInCluster
        Those that it shows, the furthest beyond chance first.
    """

    number: int
    images: int
    silhouette: float | None
    typical: tuple[str, ...]
    classes: tuple[ClassInCluster, ...] = ()


class ClustersResult(Record, frozen=True):
    """The clusters of a sample of a split in one layer.

    Attributes
    ----------
    layer : str
        <model>/<layer>
    method : str
        hdbscan or kmeans
    images : int
    dimensions : int
        Principal components of the layer that they were found in.
    variance : float or None
        The share of the layer's variance that these hold.
    ids : tuple of str
    cluster : tuple of int
        The number of each image's cluster, in the order of `ids`; 0 for noise.
    clusters : tuple of Cluster
    noise : int
        Images in no cluster; HDBSCAN leaves those out that lie where images are few.
    clustered_by_chance : int
        Images in clusters where all are one normal cloud of the same variances, in which there are no groups.
    silhouette, silhouette_by_chance : float or None
        The mean of all images in clusters, and that of those.
    sharing, sharing_by_chance : float or None
        Of the pairs of images in one cluster, those that share a class; and of all pairs of clustered images.
    gaps : tuple of str
    """

    stage: ClassVar[str] = "maps"

    layer: str
    split: str
    method: str
    images: int
    dimensions: int = 0
    variance: float | None = None
    seed: int = 0
    ids: tuple[str, ...] = ()
    cluster: tuple[int, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    noise: int = 0
    clustered_by_chance: int = 0
    silhouette: float | None = None
    silhouette_by_chance: float | None = None
    sharing: float | None = None
    sharing_by_chance: float | None = None
    gaps: tuple[str, ...] = ()

    def metrics(self) -> dict[str, Any]:
        """What `dvc metrics` shows."""
        names = ("silhouette", "silhouette_by_chance", "sharing", "sharing_by_chance")
        found = {name: round(value, 6) for name in names if (value := getattr(self, name)) is not None}
        return {"clusters": len(self.clusters), "noise": self.noise} | found
