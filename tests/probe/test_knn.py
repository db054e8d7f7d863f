"""The votes of the nearest training images, against a loop and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from pool5.params import Probe
from pool5.probe import knn

from .feature_files import draw_labels, put_task


def settings(**given) -> Probe:
    return Probe(of="net/fc7", kind="knn", **given)


def by_hand(features, labels, query, k, temperature) -> list[float]:
    """One query's shares in plain Python: exp(cosine / temperature), after eval_knn.py of DINO."""
    similar = []
    for row, vector in enumerate(features):
        lengths = math.sqrt(sum(x * x for x in vector)) * math.sqrt(sum(x * x for x in query))
        similar.append((-sum(a * b for a, b in zip(vector, query, strict=True)) / lengths, row))
    nearest = sorted(similar)[:k]
    shares = []
    for c in range(len(labels[0])):
        votes = [(math.exp(-minus / temperature), labels[row][c]) for minus, row in nearest]
        counted = sum(weight for weight, label in votes if label != 0)
        shares.append(sum(weight for weight, label in votes if label == 1) / counted)
    return shares


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(70, 6)).astype(np.float32)
    return features, draw_labels(70, (0.5, 0.2, 0.3)), rng.normal(size=(25, 6)).astype(np.float32)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 0.07), (20, 0.5), (70, 0.07)])
def test_the_share_of_a_class_is_what_a_loop_counts(data, k, temperature):
    features, labels, queries = data
    if k == 1:
        labels = np.where(labels == 0, -1, labels)
    shares = knn.train_few(features, labels, settings(k=k, temperature=temperature))(queries)
    expected = [
        by_hand(features.tolist(), labels.tolist(), q, k, temperature) for q in queries.astype(float).tolist()
    ]
    np.testing.assert_allclose(shares, expected, rtol=2e-5, atol=1e-7)
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_with_one_class_an_image_it_is_scikit_learns_weighted_vote(data):
    features, _, queries = data
    classes = np.random.default_rng(1).integers(0, 4, len(features))
    labels = np.where(classes[:, None] == np.arange(4), 1, -1)
    peer = KNeighborsClassifier(
        12, weights=lambda d: np.exp((1 - d) / 0.07), metric="cosine", algorithm="brute"
    )
    expected = peer.fit(features, classes).predict_proba(queries)
    shares = knn.train_few(features, labels, settings(k=12))(queries)
    np.testing.assert_allclose(shares, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("temperature", [1e-300, 1e-12, 0.07, 1e12])
def test_any_temperature_gives_shares(data, temperature):
    features, labels, queries = data
    labels = np.where(labels == 0, -1, labels)
    shares = knn.train_few(features, labels, settings(k=8, temperature=temperature))(queries)
    nearest = np.argsort(-(queries @ features.T) / np.linalg.norm(features, axis=1), axis=1)[:, :8]
    voted = nearest[:, :1] if temperature < 1e-9 else nearest
    if temperature != 0.07:
        np.testing.assert_allclose(shares, (labels[voted] == 1).mean(axis=1), atol=1e-6)
    assert np.isfinite(shares).all()


def test_of_equally_near_images_the_earlier_votes():
    features = np.array([[1, 1], [1, 0], [2, 0], [3, 0]], np.float32)
    labels = np.array([[-1], [-1], [1], [1]])
    shares = [knn.train_few(features, labels, settings(k=k))(np.float32([[5, 0]]))[0, 0] for k in (1, 2, 3)]
    assert shares == pytest.approx([0, 1 / 2, 2 / 3])


def test_a_class_on_which_no_neighbor_has_a_vote_has_its_share_of_all_that_do():
    features = np.eye(4, dtype=np.float32)
    labels = np.array([[0, 0], [1, 0], [-1, 0], [-1, 0]])
    shares = knn.train_few(features, labels, settings(k=1))(features[:1])
    np.testing.assert_allclose(shares, [[1 / 3, 0]], rtol=1e-6)


def test_an_image_of_zeros_is_as_far_from_all(data):
    features, labels, _ = data
    shares = knn.train_few(features, labels, settings(k=70))(np.zeros((1, 6), np.float32))
    np.testing.assert_allclose(shares[0], (labels == 1).sum(axis=0) / (labels != 0).sum(axis=0), rtol=1e-6)


def test_how_the_work_is_cut_changes_no_bit(data, monkeypatch):
    features, labels, queries = data
    whole = knn.train_few(features, labels, settings(k=9))(queries)
    monkeypatch.setattr(knn, "_VOTES_BYTES", 1)
    np.testing.assert_array_equal(knn.train_few(features, labels, settings(k=9))(queries), whole)


def test_features_in_half_precision_vote_as_their_values_do(data):
    features, labels, queries = (data[0].astype(np.float16), data[1], data[2])
    half = knn.train_few(features, labels, settings(k=9))(queries)
    single = knn.train_few(features.astype(np.float32), labels, settings(k=9))(queries)
    np.testing.assert_array_equal(half, single)


def test_more_neighbors_than_images_is_all_of_them_and_is_said(tmp_path):
    labels = draw_labels(12, (0.5, 0.5))
    task = put_task(tmp_path, settings(k=20), labels, labels)
    probe = knn.train(task)
    assert (probe.record.k, probe.record.temperature) == (12, 0.07)
    assert "k is 20, and train has 12 images: all of them vote" in probe.gaps
    assert int(probe.tensors["k"]) == 12


def test_a_class_that_no_image_shows_is_named(tmp_path):
    labels = draw_labels(12, (0.5, 0.0))
    probe = knn.train(put_task(tmp_path, settings(k=3), labels, labels))
    assert probe.gaps == (
        "c1 on none or on all of the images of train; the shares of that class say nothing",
    )
