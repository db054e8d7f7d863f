"""Ratios of times, measured in turns: a clear regression fails, a busy machine does not.

Not part of `make test`: run `pytest -m perf`. The bounds are about twice what `benchmarks/` measures.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.manifold import TSNE
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors

from pool5.analysis.maps.tsne import make_map
from pool5.extract.inference_graph import prepare
from pool5.measures.average_precision import resampled_average_precision
from pool5.measures.bootstrap import bootstrap_counts
from pool5.models.network import build_network
from pool5.params import Layer
from pool5.search.exact import ExactSearch
from pool5.store.feature_file import FeatureFile
from pool5.store.feature_key import FeatureKey
from pool5.store.feature_writer import write_feature_file

pytestmark = pytest.mark.perf


def ratio(ours: Callable[[], Any], theirs: Callable[[], Any], turns: int = 5) -> float:
    """The median over the turns of our time over theirs; the first turn warms up."""

    def seconds(work: Callable[[], Any]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return statistics.median([seconds(ours) / seconds(theirs) for _ in range(turns + 1)][1:])


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.maximum(np.random.default_rng(0).standard_normal((3000, 2048), np.float32), 0)


# scikit-learn takes cosines from half of the products as well, and measures nothing in float64 after it
@pytest.mark.parametrize(("metric", "theirs", "bound"), [("cosine", "cosine", 2.0), ("l2", "euclidean", 0.5)])
def test_all_pairs_beside_scikit_learn(metric, theirs, bound):
    # pool5 of VOC 2007's test split: with less to multiply, measuring the nearest pair by pair weighs more
    vectors = np.maximum(np.random.default_rng(0).standard_normal((4952, 6400), np.float32), 0)

    def ours():
        search = ExactSearch(vectors, metric)
        search.search(search.vectors, 10, exclude=np.arange(len(vectors)))

    def sklearn():
        NearestNeighbors(n_neighbors=11, metric=theirs, algorithm="brute").fit(vectors).kneighbors(vectors)

    assert ratio(ours, sklearn, 3) < bound


def test_a_single_query_is_ahead_of_scikit_learn(vectors):
    search = ExactSearch(vectors, "cosine")
    model = NearestNeighbors(n_neighbors=11, metric="cosine", algorithm="brute").fit(vectors)
    query = vectors[7:8]
    assert ratio(lambda: search.search(query, 10), lambda: model.kneighbors(query), 20) < 1.0


def test_resampled_ap_is_at_least_ten_times_as_fast_as_a_loop():
    random = np.random.default_rng(0)
    labels = np.where(random.random((2000, 5)) < 0.1, 1, -1)
    scores = random.standard_normal(labels.shape) + labels
    counts = bootstrap_counts(len(scores), 200, seed=0)

    def theirs():
        rows = np.repeat(np.arange(len(scores)), counts[:, 0].astype(int))
        for c in range(labels.shape[1]):
            average_precision_score(labels[rows, c] == 1, scores[rows, c])

    # the loop does one resample of the 200
    ours = ratio(lambda: resampled_average_precision(scores, labels, ["sklearn"], counts), theirs, 5)
    assert ours / counts.shape[1] < 0.1


def test_random_rows_take_at_most_three_times_as_long_as_from_a_plain_npy(vectors, tmp_path):
    count = len(vectors)
    write_feature_file(
        tmp_path / "test.h5",
        dataset="synthetic",
        split="test",
        model="m",
        classes=("one",),
        ids=np.arange(count).astype(np.str_),
        digests=np.zeros((count, 16), np.uint8),
        labels=np.ones((count, 1), np.int8),
        layers={"fc7": vectors},
        keys={"fc7": FeatureKey("m", "0" * 64, "fc7", {}, "fp32", "float32", 1)},
    )
    np.save(tmp_path / "plain.npy", vectors)
    layer, plain = FeatureFile.open(tmp_path / "test.h5").layer("fc7"), np.load(tmp_path / "plain.npy", "r")
    rows = np.random.default_rng(1).choice(count, 300, replace=False)
    assert ratio(lambda: np.array(layer[rows]), lambda: np.array(plain[rows]), 20) < 3.0


def test_a_map_takes_at_most_a_little_longer_than_scikit_learns(vectors):
    features = vectors[:1000]
    assert ratio(lambda: make_map(features), lambda: TSNE(random_state=0).fit_transform(features), 2) < 1.3


@pytest.mark.parametrize(
    ("architecture", "node"), [("test_vit", "fc_norm"), ("test_convnext", "head.flatten")]
)
def test_a_network_of_timm_is_no_slower_for_being_prepared(architecture, node):
    pytest.importorskip("timm")
    network = build_network(f"timm/{architecture}", 20, 160).eval()
    (prepared,) = prepare(copy.deepcopy(network), [Layer(node=node)], fuse=True)
    network.reset_classifier(0)
    images = torch.randn(32, 3, 160, 160)
    with torch.inference_mode():
        assert ratio(lambda: prepared(images), lambda: network(images), 20) < 1.5
