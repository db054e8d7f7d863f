"""FAISS on a card against the CPU: indexes, their training, and the nearest rows of all rows.

Usage: python -m benchmarks.faiss_card [cuda|cpu] [ROWS WIDTH]...

On `cpu`, an index of the CPU plays the card, so that all of it runs.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import faiss
import numpy as np

from benchmarks.neighbors import clustered
from pool5.search.exact import ExactSearch
from pool5.search.faiss_index import build_index
from pool5.search.faiss_search import IndexSearch
from pool5.search.gpu import Gpu, Room, found_gpu
from pool5.search.quality import recall_at

T = TypeVar("T")

_SIZES = [(4952, 6400), (60_000, 512), (1_000_000, 512)]
_K = 10
_QUERIES = 1000
_SMALL = 100_000  # rows up to which the CPU does all of the same work
_FIRST = 65_536  # queries of a larger size that tell how long all would take
_MOST_SECONDS = 15
_PROBED = 8


def faiss_card_rows(sizes: Sequence[tuple[int, int]], device: str) -> Iterator[dict[str, Any]]:
    """What FAISS finds on a card, and how long it takes; each row as it is measured.

    Parameters
    ----------
    sizes : sequence of (rows, width)
        The largest of at most 100,000 rows is indexed; of each, all rows are compared with all. Only the
        last may be larger; how many of its rows ask is told, as many as some seconds allow.
    device : cuda, cuda:0 or cpu

    Yields
    ------
    {"what", "ok", …}
        Seconds and milliseconds; `recall` with ties understood; `memory_mb` that the card held at its most.
    """
    gpu: Gpu | None = _Played() if device == "cpu" else found_gpu()
    if gpu is None:
        yield {"what": "FAISS finds a GPU", "ok": False, "why": "it has logged the reason"}
        return
    if device != "cpu":
        import torch

        torch.cuda.mem_get_info()  # is asked beside the searches: it starts before them
    rows, width = max((size for size in sizes if size[0] <= _SMALL), default=(2000, 64))
    yield from _indexes(gpu, clustered(rows, width))
    for rows, width in sizes:
        yield _all_pairs(gpu, clustered(rows, width))


def _indexes(gpu: Gpu, vectors: np.ndarray) -> Iterator[dict[str, Any]]:
    """Flat, IVF-Flat and IVF-PQ: the CPU's index searched on both, and the same index trained on the card."""
    rows, width = vectors.shape
    lists = 1 << int(math.log2(max(min(4 * math.sqrt(rows), rows / 39), 1)))
    own = np.sort(np.random.default_rng(0).choice(rows, min(_QUERIES, rows // 4), replace=False))
    exact, queries = ExactSearch(vectors, "cosine"), vectors[own]
    truth = exact.search(queries, _K, exclude=own)[0]
    for factory in "Flat", f"IVF{lists},Flat", f"IVF{lists},PQ{min(width // 8, 32)}":
        setting = {"nprobe": min(_PROBED, lists)} if "IVF" in factory else {}
        setting |= {"shortlist": 4} if "PQ" in factory else {}
        built, cpu_seconds = _timed(lambda f=factory: build_index(vectors, f, "cosine", seed=0)[0])
        on_cpu, on_card = (IndexSearch(index, exact, setting) for index in (built, gpu.copy(built)))
        on_card.search(queries, _K, exclude=own)  # the first starts the kernels
        with _Memory(gpu) as memory:
            ours, milliseconds = _searched(on_card, queries, own)
        theirs, cpu_milliseconds = _searched(on_cpu, queries, own)
        recall, cpu_recall = recall_at(ours, truth), recall_at(theirs, truth)
        yield {
            "what": f"{factory} of {rows} x {width}, searched",
            "ok": abs(recall - cpu_recall) <= 0.005,
            "recall": recall,
            "cpu_recall": cpu_recall,
            "same": float((ours == theirs).mean()),
            "ms_per_query": milliseconds,
            "cpu_ms_per_query": cpu_milliseconds,
            "memory_mb": memory.megabytes,
        }
        del on_card
        if "IVF" in factory:
            yield _trained(gpu, vectors, factory, setting, own, truth, cpu_recall, cpu_seconds)


def _trained(
    gpu: Gpu,
    vectors: np.ndarray,
    factory: str,
    setting: dict[str, int],
    own: np.ndarray,
    truth: np.ndarray,
    cpu_recall: float,
    cpu_seconds: float,
) -> dict[str, Any]:
    """An index trained and filled on the card, twice."""
    with _Memory(gpu) as memory:
        first, _ = _timed(lambda: build_index(vectors, factory, "cosine", seed=0, gpu=gpu)[0])
        again, seconds = _timed(lambda: build_index(vectors, factory, "cosine", seed=0, gpu=gpu)[0])
    same = bool(np.array_equal(faiss.serialize_index(first), faiss.serialize_index(again)))
    search = IndexSearch(first, ExactSearch(vectors, "cosine"), setting)
    recall = recall_at(search.search(vectors[own], _K, exclude=own)[0], truth)
    return {
        "what": f"{factory} of {len(vectors)} x {vectors.shape[1]}, trained",
        "ok": same and recall >= cpu_recall - 0.02,
        "same_bytes_twice": same,
        "recall": recall,
        "cpu_recall": cpu_recall,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "memory_mb": memory.megabytes,
    }


def _all_pairs(gpu: Gpu, vectors: np.ndarray) -> dict[str, Any]:
    """The nearest of all rows; are they to the byte what the CPU finds, of all or, of many, of some?"""
    rows, width = vectors.shape
    search, own, small = ExactSearch(vectors, "cosine"), np.arange(rows), rows <= _SMALL
    asking = rows if small else _FIRST
    with _Memory(gpu) as memory:
        nearest, seconds = _timed(lambda: _on_card(search, gpu, asking))
        if not small and seconds * rows / asking <= _MOST_SECONDS:
            asking = rows
            nearest, seconds = _timed(lambda: _on_card(search, gpu, asking))
    some = own if small else np.sort(np.random.default_rng(0).choice(asking, 200, replace=False))
    plain = ExactSearch(vectors, "cosine")
    queries = plain.vectors if small else vectors[some]
    expected, cpu_seconds = _timed(lambda: plain.search_on_cpu(queries, _K, some))
    same = all(bool(np.array_equal(a[some], b)) for a, b in zip(nearest, expected, strict=True))
    return {
        "what": f"the {_K} nearest of {asking} of {rows} x {width}",
        "ok": same and gpu.room.bytes > 0,
        "same_bytes_of": len(some),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds if small else cpu_seconds / len(some) * asking,
        "memory_mb": memory.megabytes,
    }


def _on_card(search: ExactSearch, gpu: Gpu, asking: int) -> tuple[np.ndarray, np.ndarray]:
    queries = search.vectors if asking == len(search.vectors) else search.vectors[:asking]
    return search.search_on(gpu, queries, _K, np.arange(asking))


def _searched(search: IndexSearch, queries: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, float]:
    """Distances, and the milliseconds of a query among all."""
    (distances, _), seconds = _timed(lambda: search.search(queries, _K, exclude=own))
    return distances, 1000 * seconds / len(queries)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    return work(), time.perf_counter() - began


class _Memory:
    """The most memory of the card in use, by whatever process, while it is looked at; None without a card."""

    def __init__(self, gpu: Gpu) -> None:
        self.megabytes: int | None = None
        self._played, self._done = isinstance(gpu, _Played), threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Memory:
        if not self._played:
            self._watching.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        if not self._played:
            self._watching.join()

    def _watch(self) -> None:
        import torch

        while True:
            free, total = torch.cuda.mem_get_info()
            self.megabytes = max(self.megabytes or 0, (total - free) >> 20)
            if self._done.wait(0.02):
                return


class _Played:
    """A card played by the CPU."""

    name = "cpu"

    def __init__(self) -> None:
        self.room = Room(1 << 30)

    def flat(self, width: int, metric: int, *, half: bool = False) -> faiss.Index:
        return faiss.IndexFlat(width, metric)

    def copy(self, index: faiss.Index) -> faiss.Index:
        return faiss.clone_index(index)


def main(device: str = "cuda", *numbers: str) -> None:
    given = [int(number) for number in numbers]
    sizes = list(zip(given[::2], given[1::2], strict=True)) or _SIZES
    for row in faiss_card_rows(sizes, device):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
