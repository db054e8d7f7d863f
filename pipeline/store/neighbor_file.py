"""The stored neighbor graph of one layer: the nearest rows of every row of every split, with distances.

    /<asking>/<found>/rows       (N, k) int32     rows of the split `found`, nearest first
    /<asking>/<found>/distances  (N, k) float32   N rows of the split `asking`; k = min(depth, rows to find)

A row is never its own neighbor, its duplicates are. Rows at the same distance stand in row order, the earlier
first, and of more than fit the earliest are kept: what exact search gives. In a split's name `%`, `/` and a
leading `.` are percent-encoded. Plain h5py opens the file; the root's attributes say what it is, and hold a
SHA-256 of each dataset and of themselves.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import UserError
from ..files.atomic import atomic_write
from ..params import Metric

FORMAT = "pool5-neighbors"
FORMAT_VERSION = 1
_DTYPES = {"rows": np.int32, "distances": np.float32}


@dataclasses.dataclass(frozen=True)
class GraphSplit:
    """A split of the graph: what its rows are, and how they were searched.

    Attributes
    ----------
    name : str
    rows : int
    ids_digest, layer_digest : str
        Those of its feature file.
    engine : str
        `exact`, or the FAISS factory of the index that neighbors in this split were found through.
    recall : float or None
        The index's recall@10 against exact search; None where the search is exact.
    """

    name: str
    rows: int
    ids_digest: str
    layer_digest: str
    engine: str = "exact"
    recall: float | None = None


@dataclasses.dataclass(frozen=True)
class GraphHead:
    """What a neighbor graph is of: `layer` is <model>/<layer>, `depth` the neighbors asked for."""

    dataset: str
    layer: str
    metric: Metric
    depth: int
    splits: tuple[GraphSplit, ...]


def graph_name(layer: str, metric: Metric, main: Metric) -> str:
    """What `Project.neighbors` calls the graph of a layer; one under another metric than the main says so."""
    return layer if metric == main else f"{layer}@{metric}"


def write_neighbors(
    path: Path | str, head: GraphHead, pairs: Iterable[tuple[str, str, np.ndarray, np.ndarray]]
) -> None:
    """Write a graph, whole or not at all; the same bytes for the same content.

    Parameters
    ----------
    path : path of data/neighbors/<model>/<layer>.h5
    head : GraphHead
    pairs : iterable of (asking, found, rows, distances)
        For each pair of splits, (N, k) rows and distances; only one pair is held in memory at a time.
    """
    sums = {}
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        for asking, found, rows, distances in pairs:
            for name, values in (("rows", rows), ("distances", distances)):
                stored = np.ascontiguousarray(values, _DTYPES[name])
                place = _place(asking, found, name)
                file.create_dataset(place, data=stored)
                sums[place] = hashlib.sha256(stored.tobytes()).hexdigest()
        model, _, layer = head.layer.partition("/")
        attributes = {
            "dataset": head.dataset,
            "depth": head.depth,
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "layer": layer,
            "metric": head.metric,
            "model": model,
            "sha256_of_datasets": json.dumps(sums, sort_keys=True),
            "splits": json.dumps([dataclasses.asdict(split) for split in head.splits]),
        }
        for name, value in sorted({**attributes, "sha256": _digest_of(attributes)}.items()):
            file.attrs[name] = value


class NeighborFile:
    """A neighbor graph, open for reading.

    Attributes
    ----------
    path : Path
    dataset, model : str
    layer : str
        <model>/<layer>
    metric : cosine, l2 or ip
    depth : int
        Neighbors that were asked for; a split with fewer rows to find gives fewer.
    splits : tuple of str
    """

    def __init__(self, path: Path, attributes: dict[str, Any]) -> None:
        self.path = path
        self.dataset: str = attributes["dataset"]
        self.model: str = attributes["model"]
        self.layer = f"{self.model}/{attributes['layer']}"
        self.metric: Metric = attributes["metric"]
        self.depth = int(attributes["depth"])
        self._splits = {each["name"]: GraphSplit(**each) for each in json.loads(attributes["splits"])}
        self.splits = tuple(self._splits)
        self._sums: dict[str, str] = json.loads(attributes["sha256_of_datasets"])

    @classmethod
    def open(cls, path: Path | str) -> NeighborFile:
        """Open a neighbor graph; reads its head only.

        Raises
        ------
        UserError
            If it is not there, not a neighbor graph, of another format version, or damaged.
        """
        path = Path(path)
        try:
            with h5py.File(path, "r", locking=False) as file:
                attributes = dict(file.attrs)
            if attributes.pop("format", None) != FORMAT:
                raise UserError(f"{path}: not a neighbor graph", rerun="neighbors", force=True)
            if (version := int(attributes["format_version"])) != FORMAT_VERSION:
                problem = f"{path}: format version {version}, but this program reads {FORMAT_VERSION}"
                raise UserError(problem, rerun="neighbors", force=True)
            if attributes.pop("sha256") != _digest_of({**attributes, "format": FORMAT}):
                raise ValueError("its head is not as it was written")
            return cls(path, attributes)
        except FileNotFoundError:
            raise UserError(f"{path}: no such neighbor graph", rerun="neighbors") from None
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise UserError(f"{path}: damaged ({error})", rerun="neighbors", force=True) from None

    @property
    def engine(self) -> str:
        """`exact`, or the FAISS factories that some of the splits were searched through."""
        engines = dict.fromkeys(split.engine for split in self._splits.values() if split.engine != "exact")
        return ", ".join(engines) or "exact"

    @property
    def recall(self) -> float | None:
        """The lowest recall@10 of any split's index; None where all was searched exactly."""
        measured = [split.recall for split in self._splits.values() if split.recall is not None]
        return min(measured, default=None)

    def split(self, name: str) -> GraphSplit:
        """What a split is; `UserError` with the splits that there are."""
        if name not in self._splits:
            has = ", ".join(self.splits)
            raise UserError(f"{self.path}: no split {name}; it has {has}", rerun="neighbors")
        return self._splits[name]

    def nearest(self, asking: str, found: str) -> tuple[np.ndarray, np.ndarray]:
        """The nearest rows of the split `found` for every row of the split `asking`, nearest first.

        Returns
        -------
        rows : (N, k) int64
            The row itself left out where the splits are the same; ties in row order.
        distances : (N, k) float32

        Raises
        ------
        UserError
            For a split that is not there, or values that are not those that were written.
        """
        self.split(asking), self.split(found)
        read = functools.partial(self._checked, asking, found)
        return read("rows").astype(np.int64), read("distances")

    def _checked(self, asking: str, found: str, name: str) -> np.ndarray:
        place = _place(asking, found, name)
        try:
            with h5py.File(self.path, "r", locking=False) as file:
                values: np.ndarray = file[place][...]
            written = (np.dtype(_DTYPES[name]), self.split(asking).rows, self._sums[place])
            if (values.dtype, len(values), hashlib.sha256(values.tobytes()).hexdigest()) != written:
                raise ValueError(f"{place} is not as it was written")
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise UserError(f"{self.path}: damaged ({error})", rerun="neighbors", force=True) from None
        return values


def _place(*names: str) -> str:
    return "/".join(re.sub(r"^\.|[%/]", lambda at: f"%{ord(at[0]):02X}", name) for name in names)


def _digest_of(attributes: dict[str, Any]) -> str:
    text = json.dumps({name: str(value) for name, value in attributes.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
