"""The vectors of a Lance table indexed on several machines: a segment for each part of its fragments, by Ray.

All segments have the centres and the codebook that they are given, so that together they find what one index
would. lance-ray does the same but for that: it trains both itself, without a seed, whatever it is given.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import UserError
from ..store.lance_table import cause, open_table

_THROUGH_A_GRAPH = "LANCE_USE_HNSW_SPEEDUP_INDEXING"


@contextlib.contextmanager
def nearest_centres() -> Iterator[None]:
    """Have Lance put each vector into the list whose centre is nearest.

    From a million values of all centres on it would look for that centre in a graph, with so little effort
    that many vectors come into another list: of 2048 lists of 512 values, looked into all, .81 of the nearest
    were found instead of .99.
    """
    before = os.environ.get(_THROUGH_A_GRAPH)
    os.environ[_THROUGH_A_GRAPH] = "disabled"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THROUGH_A_GRAPH]
        else:
            os.environ[_THROUGH_A_GRAPH] = before


def index_through_ray(table: Any, column: str, asked: dict[str, Any]) -> None:
    """Index a column on the cluster at RAY_ADDRESS, as `create_index(column, **asked)` does in one process.

    Raises
    ------
    UserError
        If there is no connection to the cluster, or one of its machines does not see the table's folder.
    """
    try:
        import ray
    except ModuleNotFoundError:
        raise UserError(
            "index.engine: lance: RAY_ADDRESS is set and ray is not installed; run pip install "
            "'pool5[lance,ray]', or unset RAY_ADDRESS"
        ) from None

    from ..ray_cluster import connected

    with connected():
        parts = np.array_split(
            [fragment.fragment_id for fragment in table.get_fragments()],
            min(len(table.get_fragments()), max(int(ray.cluster_resources().get("CPU", 1)), 1)),
        )
        segment, told = ray.remote(_segment), ray.put(asked)
        try:
            built = ray.get([segment.remote(table.uri, column, part.tolist(), told) for part in parts])
        except ray.exceptions.RayError as error:
            inner = getattr(error, "cause", None)
            why = cause(inner if isinstance(inner, Exception) else error)
            raise UserError(
                f"{table.uri}: Ray's workers cannot index it ({why}); all must see this folder: without "
                "RAY_ADDRESS it is indexed here"
            ) from None
    table.commit_existing_index_segments(f"{column}_idx", column, built)


def _segment(uri: str, column: str, fragments: list[int], asked: dict[str, Any]) -> Any:
    """In a worker: the index of some fragments, written but not part of the table yet."""
    table = open_table(uri)
    if table is None:
        raise FileNotFoundError(f"{uri} is not there")
    with nearest_centres():
        return table.create_index_uncommitted(column, name=f"{column}_idx", fragment_ids=fragments, **asked)
