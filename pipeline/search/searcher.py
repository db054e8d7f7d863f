"""What is near this image: the one door to the search, for the shell, for Python and for notebooks."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from ..errors import NotThere, UserError
from ..files.hints import did_you_mean
from ..images.address import Address
from ..params import Metric
from ..store.feature_file import FeatureFile
from .engines import open_index
from .exact import ExactSearch


@dataclasses.dataclass(frozen=True)
class Neighbor:
    """One image that was found.

    Attributes
    ----------
    rank : int
        1 is the nearest.
    id : str
    distance : float
        cosine: 1 - cos; l2: the Euclidean distance; ip: minus the inner product.
    labels : tuple of str
        The classes present, without those of which there are only difficult instances.
    """

    rank: int
    id: str
    distance: float
    labels: tuple[str, ...]


class Neighbors(list[Neighbor]):
    """The neighbors of one query, nearest first; in a notebook, a table with thumbnails.

    Attributes
    ----------
    query : str or None
        The id that was asked for; None for a vector.
    """

    def __init__(
        self, found: Sequence[Neighbor], query: str | None = None, images: Mapping[str, Address] | None = None
    ) -> None:
        super().__init__(found)
        self.query = query
        self._images = images or {}

    def _repr_html_(self) -> str:
        rows = [
            f"<tr><td>{n.rank}</td><td>{self._thumbnail(n.id)}{html.escape(n.id)}</td>"
            f"<td>{n.distance:.4f}</td><td>{html.escape(' '.join(n.labels))}</td></tr>"
            for n in self
        ]
        caption = ""
        if self.query is not None:
            caption = f"<caption>near {self._thumbnail(self.query)}{html.escape(self.query)}</caption>"
        head = "<tr><th>rank</th><th>image</th><th>distance</th><th>labels</th></tr>"
        return f"<table>{caption}{head}{''.join(rows)}</table>"

    def _thumbnail(self, name: str) -> str:
        if name not in self._images:
            return ""
        # Pillow only where a picture is shown: a query in the shell does not wait for it
        from ..images.data_uri import thumbnail_uri

        return f'<img alt="" src="{thumbnail_uri(self._images[name])}"><br>'


class Searcher:
    """One layer of a feature file, open for questions.

    Attributes
    ----------
    features : FeatureFile
    layer : str
    metric : cosine, l2 or ip
    """

    def __init__(
        self,
        features: FeatureFile,
        layer: str,
        metric: Metric = "cosine",
        *,
        index: Path | str | None = None,
        images: Mapping[str, Address] | None = None,
    ) -> None:
        self.features = features
        self.layer = layer
        self.metric = metric
        self._images = images
        self._exact = ExactSearch(features.layer(layer), metric)
        self._index = None if index is None else open_index(index, features, layer, self._exact)

    @property
    def width(self) -> int:
        """Values of a row."""
        return int(self._exact.vectors.shape[1])

    @classmethod
    def open(
        cls,
        features_path: Path | str,
        layer: str,
        metric: Metric = "cosine",
        index: Path | str | None = None,
        *,
        images: Mapping[str, Address] | None = None,
    ) -> Searcher:
        """Open a layer of a feature file.

        Parameters
        ----------
        features_path : path of data/features/<model>/<split>.h5
        layer : str
        metric : cosine, l2 or ip
        index : path of data/indexes/<model>/<layer>.faiss or .lance, optional
            Search through this index, with its recommended setting; without it the search is exact. What
            the index finds is measured exactly all the same.
        images : {id: path}, optional
            Where the images are, for thumbnails.

        Raises
        ------
        UserError
            If a file is missing or damaged, there is no such layer, or the index was built from others.
        """
        return cls(FeatureFile.open(features_path), layer, metric, index=index, images=images)

    @overload
    def query(self, what: str, k: int = 4, classes: Sequence[str] = ()) -> Neighbors: ...
    @overload
    def query(
        self, what: list[str] | tuple[str, ...], k: int = 4, classes: Sequence[str] = ()
    ) -> list[Neighbors]: ...
    @overload
    def query(
        self, what: np.ndarray, k: int = 4, classes: Sequence[str] = (), *, without: Sequence[str] = ()
    ) -> list[Neighbors]: ...

    def query(
        self,
        what: str | list[str] | tuple[str, ...] | np.ndarray,
        k: int = 4,
        classes: Sequence[str] = (),
        *,
        without: Sequence[str] = (),
    ) -> Neighbors | list[Neighbors]:
        """The `k` nearest images of one query, or of each of several.

        Parameters
        ----------
        what : an id, several ids, or (n, D) vectors
            An image that is asked for by its id is never its own neighbor, though its duplicates are.
        k : int
        classes : sequence of str
            Only images that show at least one of these classes. Such a query is exact, but through Lance.
        without : sequence of str
            Ids of images that are no neighbors of vectors, as those that they were made from.

        Returns
        -------
        Neighbors for one id, else a list of them

        Raises
        ------
        UserError
            For an id, class or width that is not there, or a `k` larger than what can be found.
        """
        if isinstance(what, str):
            return self._by_id([what], k, classes)[0]
        if isinstance(what, np.ndarray) and what.dtype.kind != "U":
            if what.ndim != 2 or what.shape[1] != self.width:
                raise UserError(f"queries of shape {what.shape}, not (n, {self.width}) as {self.layer} needs")
            return self._search(what, k, classes, None, [None] * len(what), without)
        return self._by_id([str(name) for name in what], k, classes)

    def _by_id(self, ids: list[str], k: int, classes: Sequence[str]) -> list[Neighbors]:
        rows = self.features.rows(ids)
        return self._search(self._exact.vectors[rows], k, classes, rows, ids)

    def _search(
        self,
        vectors: np.ndarray,
        k: int,
        classes: Sequence[str],
        own: np.ndarray | None,
        names: Sequence[str | None],
        without: Sequence[str] = (),
    ) -> list[Neighbors]:
        allowed = None
        if classes or without:
            allowed = self._showing(classes) if classes else np.ones(len(self.features.ids), bool)
            if without:
                allowed[self.features.rows(list(without))] = False
        if self._index is not None and (allowed is None or self._index.filters):
            found = self._index.search(vectors, k, exclude=own, allowed=allowed, classes=classes)
        else:
            found = self._exact.search(vectors, k, exclude=own, allowed=allowed)
        distances, rows = found
        return [
            Neighbors(self._describe(near, found), name, self._images)
            for near, found, name in zip(distances, rows, names, strict=True)
        ]

    def _describe(self, distances: np.ndarray, rows: np.ndarray) -> list[Neighbor]:
        return [
            # by way of text: the shortest decimal that is this float32, not the longer one that is its double
            Neighbor(
                rank, str(self.features.ids[row]), float(str(distance)), self.features.labels_of(int(row))
            )
            for rank, (distance, row) in enumerate(zip(distances, rows, strict=True), start=1)
        ]

    def _showing(self, classes: Sequence[str]) -> np.ndarray:
        known = self.features.classes
        for name in classes:
            if name not in known:
                has = f"it has {', '.join(known)}" if known else "its images have no labels"
                raise NotThere(f"{self.features.path}: no class {name}{did_you_mean(name, known)}; {has}")
        shown = self.features.labels[:, [known.index(name) for name in classes]] == 1
        allowed: np.ndarray = shown.any(axis=1)
        if not allowed.any():
            none = f"no image of split {self.features.split} shows {' or '.join(classes)}"
            raise UserError(f"{self.features.path}: {none}; ask for others")
        return allowed
