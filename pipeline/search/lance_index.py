"""Lance indexes over a layer: a table of its rows, with an index of the vectors and one of the labels.

The lists' centres and the codebook are trained by FAISS, as for an index of that factory and from the same
seed, and handed to Lance, whose own training draws anew each time. So the candidates are the same on each
build, and those that FAISS would give, though the files are not: Lance names them at random.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserError
from ..params import Metric
from ..store.feature_file import FeatureFile
from ..store.lance_table import cause, column_of, open_table, write_table
from .approximate_search import SHORTLISTS, ApproximateSearch
from .exact import ExactSearch
from .gpu import Gpu
from .index_card import check_file, read_card_of
from .lance_segments import index_through_ray, nearest_centres

if TYPE_CHECKING:
    import pyarrow as pa

_DISTANCE = {"cosine": "cosine", "l2": "l2", "ip": "dot"}


class LanceSearch(ApproximateSearch):
    """Search through the index of a column of a Lance table.

    Parameters
    ----------
    table : lance.LanceDataset
    column : str
    exact : ExactSearch
        Over the same rows, in the same order.
    setting : {"nprobe": …, "shortlist": …}
    """

    engine = "lance"
    filters = True

    def __init__(
        self, table: Any, column: str, exact: ExactSearch, setting: Mapping[str, int] | None = None
    ) -> None:
        self.table = table
        self.column = column
        self._lists, self._codes = _lists_of(table)
        rows = [fragment.count_rows() for fragment in table.get_fragments()]
        self._first = np.concatenate([[0], np.cumsum(rows)])  # the row that each fragment begins with
        super().__init__(exact, setting)

    def settings(self) -> list[dict[str, int]]:
        """The lists to look into, and how much of what is found there to rank."""
        from .faiss_search import probe_counts

        if not self._lists:
            return [{}]
        probes = probe_counts(self._lists, len(self.exact.vectors))
        if not self._codes:
            return [{"nprobe": probe} for probe in probes]
        return [{"nprobe": probe, "shortlist": times} for probe in probes for times in SHORTLISTS]

    def shortlist(
        self, queries: np.ndarray, k: int, classes: Sequence[str] = (), share: float = 1.0
    ) -> np.ndarray:
        """The (n, c) int64 rows that Lance finds, in no order; of images of those classes alone."""
        return self._found(queries, k, classes, share)[0]

    def counted(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, float]:
        """A shortlist, and the comparisons with centroids, codes and vectors that Lance counts."""
        found, statistics = self._found(queries, k)
        if not self._lists:
            return found, len(self.exact.vectors)
        return found, self._lists + statistics.index_comparisons / len(queries) + self.ranked(found)

    def write(self, path: Path) -> None:
        """Put the table at `path` (.lance)."""
        Path(self.table.uri).rename(path)
        self.table = open_table(str(path))

    def _found(
        self, queries: np.ndarray, k: int, classes: Sequence[str] = (), share: float = 1.0
    ) -> tuple[np.ndarray, Any]:
        count, probe = self.candidates(k), {"nprobes": self.setting.get("nprobe", 1)}
        if classes:
            # the nearest of some classes are farther, and codes tell them apart less well; and so many lists
            # as have as many rows of the classes as those of the setting have rows. Where there are still
            # fewer than are asked for, Lance looks into more
            count = min(max(k, 10) * max(SHORTLISTS) + 1, len(self.exact.vectors)) if self._codes else count
            lists = math.ceil(probe["nprobes"] / max(share, 1e-9))
            probe = {"minimum_nprobes": max(1, min(lists, self._lists))}
        nearest = {"column": self.column, "q": np.asarray(queries), "k": count, **probe}
        told: list[Any] = []
        try:
            answer = self.table.scanner(
                columns=["_rowaddr"],
                nearest=nearest | {"metric": _DISTANCE[self.exact.metric]},
                filter=_showing(classes),
                prefilter=True,
                disable_scoring_autoprojection=True,
                scan_stats_callback=told.append,
            ).to_table()
        except OSError as error:
            damaged = f"{self.table.uri}: damaged ({cause(error)})"
            raise UserError(damaged, rerun="index", force=True) from None
        return self._rows(answer, len(queries), count), told[0]

    def _rows(self, answer: pa.Table, queries: int, count: int) -> np.ndarray:
        asked = answer["query_index"].to_numpy()
        address = answer["_rowaddr"].to_numpy()  # the fragment, and the row in it
        order = np.argsort(asked, kind="stable")
        asked, address = asked[order], address[order]
        place = np.arange(len(asked)) - np.searchsorted(asked, asked)
        rows = np.full((queries, count), -1)
        rows[asked, place] = self._first[address >> np.uint64(32)] + (address & np.uint64(2**32 - 1)).astype(
            int
        )
        return rows


def build_lance(
    features: FeatureFile,
    layer: str,
    factory: str,
    metric: Metric,
    folder: Path,
    *,
    seed: int,
    held_out: np.ndarray | None = None,
    gpu: Gpu | None = None,
) -> tuple[LanceSearch, int]:
    """Write a layer to a new Lance table in `folder`, and index its vectors and labels.

    Where RAY_ADDRESS names a cluster, its machines index the vectors, from a folder that they all see.

    Parameters
    ----------
    factory : Flat, IVF<lists>,Flat or IVF<lists>,PQ<bytes>
        As FAISS calls it; with Flat, Lance scans the vectors.
    gpu : Gpu, optional
        As `faiss_index.build_index` takes it; if it fails, it does so before anything is written.

    Returns
    -------
    search : LanceSearch
    training_rows : int

    Raises
    ------
    UserError
        For another factory, or too few rows to train it; or Lance is not installed.
    """
    lists, _ = parts_of(factory)
    vectors, column = features.layer(layer), column_of(features.model, layer)
    trained, training_rows = _trained(vectors, factory, metric, seed, held_out, gpu) if lists else ({}, 0)
    write_table([features], [layer], str(folder))
    table = open_table(str(folder))
    if lists:
        trained["metric"] = _DISTANCE[metric]
        try:
            if os.environ.get("RAY_ADDRESS"):
                index_through_ray(table, column, trained)
            else:
                with nearest_centres():
                    table.create_index(column, **trained)
        except (ValueError, OSError) as error:
            raise UserError(
                f"index.factory: {factory}: Lance builds no such index ({cause(error)})"
            ) from None
        table = open_table(str(folder))
    if features.classes:
        table.create_scalar_index("labels", "LABEL_LIST")
    return LanceSearch(open_table(str(folder)), column, ExactSearch(vectors, metric)), training_rows


def open_index(path: Path | str, features: FeatureFile, layer: str, exact: ExactSearch) -> LanceSearch:
    """Open the index at `path` for searching `layer` of `features`, with its recommended setting.

    Raises
    ------
    UserError
        If it is missing or damaged, or was built from other features, other images or for another metric.
    """
    path = Path(path)
    card = read_card_of(path, features, layer, exact.metric)
    check_file(path, card, hashed=False)
    table = open_table(str(path))
    if table is None or table.count_rows() != len(features):
        raise UserError(f"{path}: damaged: Lance finds no table of its rows there", rerun="index", force=True)
    try:
        return LanceSearch(table, column_of(features.model, layer), exact, card.search)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: damaged ({cause(error)})", rerun="index", force=True) from None


def parts_of(factory: str) -> tuple[int, int]:
    """The lists and the bytes of a code that a factory has; `UserError` for one that is not in Lance."""
    if factory == "Flat":
        return 0, 0
    if known := re.fullmatch(r"IVF([1-9]\d*),(?:Flat|PQ([1-9]\d*))", factory):
        return int(known[1]), int(known[2] or 0)
    raise UserError(
        f"index.factory: {factory} is not in Lance; take Flat, IVF64,Flat, IVF64,PQ16 auto, or engine faiss"
    )


def _trained(
    vectors: np.ndarray,
    factory: str,
    metric: Metric,
    seed: int,
    held_out: np.ndarray | None,
    gpu: Gpu | None = None,
) -> tuple[dict[str, Any], int]:
    """What Lance is to index by, and how many rows it was trained on.

    Lance compares the vectors of `cosine` by their distance, at length one; and it codes what is left of a
    vector when its list's centre is taken away, but for `ip`, where it codes the vector.
    """
    import faiss

    from .faiss_index import new_index, train

    lists, code = parts_of(factory)
    width, dtype = vectors.shape[1], vectors.dtype
    index = new_index(width, factory, "ip" if metric == "ip" else "l2")
    inverted: Any = faiss.downcast_index(index)
    # else a centre of far clusters is short, and nearer than any other to whatever has no centre of its own
    inverted.cp.spherical = metric == "cosine"
    if code:
        inverted.by_residual = metric != "ip"
    rows = train(index, vectors, factory, metric, seed, held_out, gpu)
    centres = inverted.quantizer.reconstruct_n(0, lists).astype(dtype)
    told = {"index_type": "IVF_FLAT", "num_partitions": lists, "ivf_centroids": centres}
    if code:
        book = faiss.vector_to_array(inverted.pq.centroids).reshape(code, -1, width // code).astype(dtype)
        told |= {"index_type": "IVF_PQ", "num_sub_vectors": code, "pq_codebook": book}
    return told, rows


def _lists_of(table: Any) -> tuple[int, bool]:
    """How many lists the index of the vectors has, and whether they hold codes; 0 if there is none."""
    for index in table.describe_indices():
        if index.index_type.startswith("IVF"):
            return table.stats.index_stats(index.name)["indices"][0][
                "num_partitions"
            ], "PQ" in index.index_type
    return 0, False


def _showing(classes: Sequence[str]) -> str | None:
    """The images that show one of these classes, in SQL."""
    if not classes:
        return None
    names = ", ".join("'{}'".format(name.replace("'", "''")) for name in classes)
    return f"array_has_any(labels, [{names}])"
