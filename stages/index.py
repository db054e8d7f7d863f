"""Build the FAISS index over one layer of the test split, and measure what it finds.

Usage: python -m pool5.stages.index <model>/<layer>

How long a search takes is no output: the same run must give the same bytes. The times go to stderr and to
.cache/timings/search/<model>/<layer>.json; the outputs have the number of vectors compared, which is the same
everywhere.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from ..figures.pareto import draw_pareto
from ..files.atomic import atomic_write, write_text
from ..params import load_params, split_reference
from ..search.exact import ExactSearch
from ..search.factory import Choice, choose_factory
from ..search.faiss_index import IndexSearch, build_index, describe, save_index, to_gpu
from ..search.quality import (
    OperatingPoint,
    measure_latency,
    pareto_front,
    query_rows,
    recommended,
    sweep,
)
from ..store.feature_file import FeatureFile, feature_path
from . import run


def main(reference: str) -> None:
    params = load_params()
    model, layer = split_reference(reference)
    features = FeatureFile.open(feature_path(model, params.dataset.test))
    vectors = features.layer(layer)
    choice = Choice(params.index.factory, "asked for in params.yaml")
    if params.index.factory == "auto":
        choice = choose_factory(len(vectors), vectors.shape[1], params.index.memory_gb * 1e9)
    asked = query_rows(len(vectors), params.index.queries, params.index.seed)
    index, training_rows = build_index(
        vectors, choice.factory, params.index.metric, seed=params.index.seed, held_out=asked
    )

    exact = ExactSearch(vectors, params.index.metric)
    search = IndexSearch(index, exact)
    queries = np.asarray(vectors[asked])
    points = sweep(search, queries, asked)
    chosen = recommended(points)
    search.apply(chosen.setting)

    card = describe(
        features,
        layer,
        params.index.metric,
        factory=choice.factory,
        reason=choice.reason,
        seed=params.index.seed,
        training_rows=training_rows,
        search=chosen.setting,
    )
    card = save_index(index, card, Path("data/indexes", model, f"{layer}.faiss"))
    bytes_per_vector = card.index_bytes / len(vectors)
    reports = Path("reports/search", model, layer)
    _write_sweep(points, chosen, reports / "sweep.csv")
    draw_pareto(
        points,
        chosen,
        len(vectors),
        reports / "pareto",
        title=f"{reference}, {choice.factory}",
        bytes_per_vector=bytes_per_vector,
    )
    metrics = {f"recall@{depth}": round(value, 6) for depth, value in chosen.recall.items()}
    metrics |= {
        "bytes_per_vector": round(bytes_per_vector, 3),
        "compared_per_query": round(chosen.compared, 1),
        "vectors": len(vectors),
    }
    _write_json(metrics, Path("reports/metrics/search", model, f"{layer}.json"))

    times = {
        "exact": dataclasses.asdict(measure_latency(lambda q: exact.search(q, 10), queries)),
        "index": dataclasses.asdict(measure_latency(lambda q: search.search(q, 10), queries)),
    }
    if (on_gpu := to_gpu(index)) is not None:
        fast = IndexSearch(on_gpu, exact, chosen.setting)
        times["index on the GPU"] = dataclasses.asdict(measure_latency(lambda q: fast.search(q, 10), queries))
    _write_json(times, Path(".cache/timings/search", model, f"{layer}.json"))
    for name, milliseconds in times.items():
        print(
            f"{reference}: {name}: {milliseconds['single']:.2f} ms for one query, "
            f"{milliseconds['in_batch']:.2f} ms a query for {len(queries)} at once",
            file=sys.stderr,
        )


def _write_sweep(points: list[OperatingPoint], chosen: OperatingPoint, path: Path) -> None:
    front = pareto_front(points)
    depths = list(chosen.recall)
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["setting", *(f"recall@{depth}" for depth in depths), "compared", "on_front", "chosen"]
        )
        for point in points:
            recalls = [f"{point.recall[depth]:.6f}" for depth in depths]
            writer.writerow([point.name, *recalls, f"{point.compared:.1f}", point in front, point == chosen])


def _write_json(values: dict, path: Path) -> None:
    write_text(path, json.dumps(values, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run(main)
