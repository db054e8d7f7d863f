"""A project that the page is tried on: a model that reads and one that does not, two splits, two maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pool5.datasets.manifest import read_manifest
from pool5.questions.open_store import OpenStore
from pool5.results.layer_map import MapResult
from pool5.results.record import save_record
from pool5.results.tsne_map import TsneResult
from pool5.store.feature_file import FeatureFile
from tests.cli.words_project import PARAMS, make_words_project

LAYER = "net/pooled"


def make_page_project(folder: Path) -> None:
    """Random directions of the features stand in for maps; most images are on them."""
    folder.mkdir(parents=True)
    project = make_words_project(folder)
    project.params.write_text(
        PARAMS + f"tsne: {{of: [{LAYER}]}}\nmaps: {{of: [{LAYER}], methods: [pca], clusters: none}}\n"
    )
    values = FeatureFile.open(project.features("net", "test")).layer("pooled")
    ids = tuple(read_manifest(project.manifest("test")).ids[:100].tolist())
    axes = np.random.default_rng(0).normal(size=(2, values.shape[1], 2))
    tsne, pca = (tuple(map(tuple, (values[:100] @ own).astype(float).tolist())) for own in axes)
    shared = {"layer": LAYER, "split": "test", "images": 100, "ids": ids, "seed": 0, "neighbors": 10}
    quality = {"trustworthiness": 0.9, "knn_preservation": 0.4, "stability": 0.6}
    save_record(
        TsneResult(**shared, **quality, backend="sklearn", perplexity=30, kl=0.8, points=tsne, by_class=()),
        project.result(f"tsne/{LAYER}"),
    )
    save_record(
        MapResult(**shared, **quality, method="pca", title="PCA", points=pca, by_class=()),
        project.result(f"maps/{LAYER}/pca"),
    )


def nearest(store: OpenStore, *ids: str, of: str = LAYER, k: int = 12, **question: Any) -> list[str]:
    """The ids that Python is told."""
    (answer,) = store.ask(*ids, of=of, k=k, **question)
    return [near.id for near in answer.neighbors]
