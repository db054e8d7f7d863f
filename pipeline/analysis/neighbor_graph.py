"""The neighbor graph of a layer, as sure to belong to the feature files at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..store.feature_file import FeatureFile
from ..store.neighbor_file import NeighborFile


def open_graph(path: Path | str, files: Sequence[FeatureFile], layer: str) -> NeighborFile:
    """Open the graph of a layer of one model's feature files.

    Parameters
    ----------
    path : path of a neighbor graph
    files : sequence of FeatureFile
        The splits that will be asked for.
    layer : str
        As in the feature files.

    Raises
    ------
    UserError
        If it is missing or damaged, or was made from other features.
    """
    graph = NeighborFile.open(path)
    for file in files:
        split = graph.split(file.split)
        if (split.ids_digest, split.layer_digest) != (file.ids_digest, file.layer_digest(layer)):
            raise UserError(f"{path}: made from other features than {file.path} holds", rerun="neighbors")
    return graph


def how_searched(graph: NeighborFile) -> list[str]:
    """A sentence where the graph is not exact: what an index may have missed; else nothing."""
    if graph.engine == "exact":
        return []
    trained = ", trained on the rows that it holds" if "IVF" in graph.engine else ""
    measured = "" if graph.recall is None else f", which finds {graph.recall:.1%} of the 10 nearest"
    return [f"{graph.layer}: neighbors were found through an index ({graph.engine}{trained}){measured}"]
