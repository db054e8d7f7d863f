from __future__ import annotations

import numpy as np
import pytest

from pool5.analysis.label_issues.doubted import (
    calibration_of,
    doubt_labels,
    examine_probe,
    gaps_of,
    has_one_label,
    noise_of,
)
from pool5.project import Project
from tests.stages.small_project import put_graph, put_split

CLASSES = ("cat", "dog", "person")


def drawn(rng, count, one_label=False):
    """Labels, and scores that tell them."""
    if one_label:
        labels = np.full((count, 3), -1)
        labels[np.arange(count), rng.integers(3, size=count)] = 1
    else:
        labels = np.where(rng.random((count, 3)) < 0.3, 1, -1)
    return labels, 3 * labels + rng.normal(size=labels.shape)


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Two splits with labels of which some were turned, and the scores that know better."""
    monkeypatch.chdir(tmp_path)

    def make(one_label=False, turned=((5, 0), (9, 1)), change=None):
        rng = np.random.default_rng(0)
        (train, scores), (test, logits) = drawn(rng, 200, one_label), drawn(rng, 80, one_label)
        vectors = [labels + 0.05 * rng.normal(size=labels.shape) for labels in (train, test)]
        for row, column in turned:
            train[row, column] *= -1
        if change:
            change(train, scores)
        files = [
            put_split(Project(), name, each, labels, CLASSES)
            for name, each, labels in zip(("train", "test"), vectors, (train, test), strict=True)
        ]
        return files, scores, logits

    return make


def issues_of(files, scores, logits, least=0.2):
    doubts = doubt_labels(files, scores, logits, 0)
    graph = put_graph(Project(), files)
    return doubts, examine_probe("p", "net/fc", "linear", doubts, graph, 50, least)


def test_the_labels_that_were_turned_come_first(put):
    _, found = issues_of(*put())
    first = {(i.split, i.id, i.class_name) for i in found.issues[:2]}
    assert first == {("train", "train0005", "cat"), ("train", "train0009", "dog")}
    assert [i.probability for i in found.issues] == sorted(
        (i.probability for i in found.issues), reverse=True
    )


def test_the_nearest_training_images_with_the_suspected_label_stand_beside_it(put):
    (train, _), scores, logits = files, *_ = put()
    _, found = issues_of(files, scores, logits)
    issue = found.issues[0]
    suspected = 1 if issue.kind == "missing" else -1
    rows = train.rows(each.id for each in issue.nearest)
    assert len(rows) == 3
    assert (train.labels[rows, CLASSES.index(issue.class_name)] == suspected).all()
    assert (issue.near, issue.agreeing > 7) == (10, True)
    assert [each.distance for each in issue.nearest] == sorted(each.distance for each in issue.nearest)


def test_what_is_expected_of_a_list_is_the_sum_of_its_probabilities(put):
    _, found = issues_of(*put())
    for count in found.counts:
        listed = [i.probability for i in found.issues if (i.split, i.kind) == (count.split, count.kind)]
        assert (count.listed, count.doubted) == (len(listed), len(listed))
        assert count.expected == pytest.approx(sum(listed), abs=1e-4)
        assert count.by_chance == pytest.approx(len(listed) * count.estimated / count.labels, abs=1e-4)


def test_labels_of_0_are_never_listed(put):
    def mask(train, scores):
        train[5, 0] = 0

    _, found = issues_of(*put(change=mask))
    assert ("train0005", "cat") not in {(i.id, i.class_name) for i in found.issues}


def test_where_an_image_has_one_label_a_wrong_one_stands_there_once_and_with_the_right_one(put):
    def swap(train, scores):
        train[7] = np.roll(train[7], 1)

    files, scores, logits = put(True, (), swap)
    assert has_one_label(np.asarray(files[0].labels))
    _, found = issues_of(files, scores, logits)
    assert {i.kind for i in found.issues} == {"wrong"}
    assert {count.kind for count in found.counts} == {"wrong"}
    right = CLASSES[int(np.argmax(scores[7]))]
    assert (found.issues[0].id, found.issues[0].instead) == ("train0007", right)


def test_a_class_of_few_images_is_not_judged_and_it_is_told(put):
    def few(train, scores):
        train[:, 1] = -1
        train[:3, 1] = 1

    files, scores, logits = put(change=few)
    doubts, found = issues_of(files, scores, logits)
    assert "dog" not in {i.class_name for i in found.issues}
    assert {noise.class_name for noise in found.classes} == {"cat", "person"}
    (told,) = gaps_of(doubts[0], scores)
    assert told.startswith("dog: fewer than 5 images of train")


def test_classes_without_held_out_scores_or_with_blind_ones_are_told(put):
    files, scores, logits = put()
    scores[:, 0], scores[:, 2] = np.nan, 1.0
    doubts, found = issues_of(files, scores, logits)
    told = gaps_of(doubts[0], scores)
    assert [each.split(":")[0] for each in told] == ["cat", "person"]
    assert "cat" not in {i.class_name for i in found.issues}


def test_the_calibration_is_of_probabilities_that_know_nothing_of_an_image(put):
    files, scores, logits = put()
    doubts, found = issues_of(files, scores, logits)
    train, test = found.calibration
    assert (train.split, test.split) == ("train", "test")
    assert max(train.error, test.error) < 0.05
    assert train.log_loss < train.log_loss_of_shares
    assert sum(b.labels for b in train.bins) == (doubts[0].labels != 0).sum()
    assert calibration_of(doubts[0], doubts[0].labels) == train


def test_without_classes_there_is_nothing_but_a_gap(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    files = [
        put_split(Project(), n, rng.normal(size=(9, 4)), np.empty((9, 0)), ()) for n in ("train", "test")
    ]
    nothing = np.empty((9, 0), np.float32)
    doubts, found = issues_of(files, nothing, nothing)
    assert (found.issues, found.calibration, noise_of(doubts[0]), found.rates) == ((), (), (), {})
    assert gaps_of(doubts[0], nothing) == ["the data set has no classes: there are no labels to doubt"]
