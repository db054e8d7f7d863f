"""Ask every representation the same queries, and measure retrieval over the whole test split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..analysis.retrieval import (
    NDCG_DEPTH,
    measure_queries,
    query_groups,
    summarize,
    write_retrieval,
)
from ..analysis.shown_queries import ShownQuery, check_same_images, choose_queries, write_neighbors
from ..datasets.manifest import image_paths, read_manifest
from ..figures.canvas import save_figure
from ..figures.neighbor_sheet import neighbor_sheet
from ..files.atomic import write_text
from ..params import load_params
from ..search.exact import exact_search
from ..search.searcher import Searcher
from ..store.feature_file import FeatureFile, feature_path
from . import run

REPORTS = Path("reports/neighbors")


def main() -> None:
    params = load_params()
    asked, metric = params.neighbors, params.index.metric
    searchers = {}
    for name in asked.of:
        model, layer = name.split("/")
        searchers[name] = Searcher(FeatureFile.open(feature_path(model, params.dataset.test)), layer, metric)
    features = check_same_images([searcher.features for searcher in searchers.values()])

    shown = []
    for row, drawn_for in choose_queries(features.labels, features.classes, asked.queries, asked.seed):
        query = str(features.ids[row])
        found = {name: searcher.query(query, asked.k) for name, searcher in searchers.items()}
        shown.append(ShownQuery(query, drawn_for, searchers[asked.of[0]].labels_of(row), found))
    write_neighbors(shown, REPORTS / "neighbors.csv")
    manifest = read_manifest(f"data/manifest/{params.dataset.test}.csv")
    title = "Nearest neighbors of the same queries in every representation"
    sheet = neighbor_sheet(shown, image_paths(manifest, params.dataset.root), metric, title=title)
    save_figure(sheet, REPORTS / "sheet")

    groups = query_groups(features.labels, features.classes)
    results = {}
    for name, searcher in searchers.items():
        vectors = searcher.features.layer(searcher.layer)
        depth = min(max(asked.k, NDCG_DEPTH), len(vectors) - 1)
        _, neighbors = exact_search(vectors, vectors, depth, metric, exclude=np.arange(len(vectors)))
        measures = measure_queries(features.labels, neighbors, asked.k)
        results[name] = summarize(measures, groups, asked.bootstrap, asked.seed)
    write_retrieval(results, REPORTS / "retrieval.csv")
    metrics: dict = {}
    for name, rows in results.items():
        for result in rows:
            if result.group not in features.classes:
                group = metrics.setdefault(name, {}).setdefault(result.group, {})
                group[result.measure] = round(result.value, 6)
    write_text("reports/metrics/neighbors.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run(main)
