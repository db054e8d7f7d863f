"""The stored neighbor graph of one layer: the nearest rows of every row of every split, with distances.

    /<asking>/<found>/rows       (N, k) int32     rows of the split `found`, nearest first
    /<asking>/<found>/distances  (N, k) float32   N rows of the split `asking`; k = min(depth, rows to find)

A row is never its own neighbor, its duplicates are. Rows at the same distance stand in row order, the earlier
first, and of more than fit the earliest are kept: what exact search gives. In a split's name `%`, `/` and a
leading `.` are percent-encoded. Plain h5py opens the file; the root's attributes say what it is, and hold a
SHA-256 of each dataset. They are themselves under the checksum of the header.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np

from ..errors import UserError
from ..files.digests import digest_of
from ..params import Metric
from .header import Kind
from .plain_hdf5 import Spec, check_exactly, check_names, check_text, told_in_a_line
from .sealed_file import SealedFile, write_sealed

KIND = Kind("pool5-neighbors", 2, "neighbor graph", "neighbors")
_ATTRIBUTES = {"dataset", "depth", "layer", "metric", "model", "splits"}
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
    model, _, layer = head.layer.partition("/")
    attributes: dict[str, str | int] = {
        "dataset": head.dataset,
        "depth": head.depth,
        "layer": layer,
        "metric": head.metric,
        "model": model,
        "splits": json.dumps([dataclasses.asdict(split) for split in head.splits]),
    }
    arrays = (
        (_place(asking, found, name), np.asarray(values, _DTYPES[name]))
        for asking, found, rows, distances in pairs
        for name, values in (("rows", rows), ("distances", distances))
    )
    write_sealed(path, KIND, attributes, arrays, len(_DTYPES) * len(head.splits) ** 2)


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

    def __init__(self, sealed: SealedFile) -> None:
        attributes = sealed.attributes
        self.path = sealed.path
        self.dataset: str = attributes["dataset"]
        self.model: str = attributes["model"]
        self.layer = f"{self.model}/{attributes['layer']}"
        self.metric: Metric = attributes["metric"]
        self.depth: int = attributes["depth"]
        self._splits = {split.name: split for split in _splits(attributes)}
        self.splits = tuple(self._splits)
        self._sealed = sealed

    @classmethod
    def open(cls, path: Path | str) -> NeighborFile:
        """Open a neighbor graph; reads its head only.

        Raises
        ------
        UserError
            If it is not there, not a neighbor graph, of another format version, or damaged.
        """
        return cls(SealedFile.open(Path(path), KIND, _specify))

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

    def digest(self, asking: str, found: str) -> str:
        """A digest of what `nearest` gives, in hexadecimal; reads none of it."""
        self.split(asking), self.split(found)
        return digest_of([self._sealed.sums[_place(asking, found, name)] for name in _DTYPES])

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
        self.split(asking)
        rows, distances = (self._sealed.read(_place(asking, found, name)) for name in _DTYPES)
        with told_in_a_line(self.path, KIND.stage, KIND.called):
            if rows.size and not 0 <= rows.min() <= rows.max() < self.split(found).rows:
                raise ValueError(f"a neighbor in {found} is none of its {self.split(found).rows} rows")
        return rows.astype(np.int64), distances


def _splits(attributes: dict[str, Any]) -> tuple[GraphSplit, ...]:
    return msgspec.json.decode(attributes["splits"], type=tuple[GraphSplit, ...])


def _specify(attributes: dict[str, Any], _found: Mapping[str, h5py.Dataset]) -> dict[str, Spec]:
    check_exactly(attributes, _ATTRIBUTES, "the attribute")
    check_names(**{name: attributes[name] for name in ("dataset", "model", "layer")})
    depth, _ = msgspec.convert((attributes["depth"], attributes["metric"]), tuple[int, Metric])
    specified: dict[str, Spec] = {}
    for asking, found in itertools.product(_splits(attributes), repeat=2):
        check_text(asking.name, "a split")
        shape = asking.rows, min(depth, max(found.rows - (asking.name == found.name), 0))
        for name, dtype in _DTYPES.items():
            specified[_place(asking.name, found.name, name)] = np.dtype(dtype), shape
    return specified


def _place(*names: str) -> str:
    return "/".join(re.sub(r"^\.|[%/]", lambda at: f"%{ord(at[0]):02X}", name) for name in names)
