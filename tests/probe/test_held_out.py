from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pool5.errors import UserError
from pool5.measures.average_precision import average_precision
from pool5.params import Probe
from pool5.probe.held_out import HELD_OUT, held_out_decided_by, write_held_out
from pool5.probe.kind import KeptProbe
from pool5.probe.kinds import KINDS, RECORD, WEIGHTS, make_probe
from pool5.results.probe import ProbeResult
from pool5.results.record import load_record
from pool5.store.logits_file import read_logits

from .feature_files import draw_labels, put_features, put_task

LINEAR = Probe(of="net/fc7", C=(0.1, 1.0, 10.0), folds=4)
KNN = Probe(of="net/fc7", kind="knn", k=7)


def held_out(task, folder):
    folder.mkdir(exist_ok=True)
    make_probe(task, folder)
    write_held_out(task, folder / WEIGHTS, folder)
    return read_logits(folder / HELD_OUT)


@pytest.fixture
def task(tmp_path):
    return put_task(tmp_path, LINEAR, draw_labels(120, (0.4, 0.2)), draw_labels(30, (0.4, 0.2), 1))


def test_the_scores_of_the_linear_probe_are_those_that_it_chose_its_penalty_by(task, tmp_path):
    found = held_out(task, tmp_path / "made")
    assert (found.split, found.ids.tolist()) == ("train", task.train.ids.tolist())
    (probe,) = load_record(ProbeResult, tmp_path / "made" / RECORD).probes
    ap = average_precision(found.logits, np.asarray(task.train.labels), "sklearn")
    np.testing.assert_allclose(ap, [each.cv_ap for each in probe.classes], atol=2e-3)


def test_an_image_has_no_vote_on_itself(tmp_path):
    labels = draw_labels(60, (0.5,))
    features = np.random.default_rng(0).normal(size=(60, 24))
    task, scores = put_task(tmp_path, KNN, labels, labels), []
    for sign in (1, -1):
        labels[17] *= sign
        train = put_features(tmp_path / f"{sign}.h5", "train", features, labels)
        scores.append(KINDS["knn"].held_out(dataclasses.replace(task, train=train), KeptProbe({}, {})))
    assert scores[0][17] == scores[1][17]
    assert (scores[0] != scores[1]).any()


def test_a_class_that_cannot_be_held_out_has_no_scores(tmp_path):
    labels = draw_labels(40, (0.5, 0.0))
    labels[:, 1] = -1
    labels[3, 1] = 1
    found = held_out(put_task(tmp_path, LINEAR, labels, labels), tmp_path / "made")
    assert np.isfinite(found.logits[:, 0]).all()
    assert np.isnan(found.logits[:, 1]).all()


def test_weights_of_another_layer_are_refused(task, tmp_path):
    held_out(task, tmp_path / "made")
    other = dataclasses.replace(task, settings=Probe(of="other/fc7"))
    with pytest.raises(UserError, match="made from other features"):
        write_held_out(other, tmp_path / "made" / WEIGHTS, tmp_path)
    (tmp_path / "made" / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(UserError, match="not the weights of a probe"):
        write_held_out(task, tmp_path / "made" / WEIGHTS, tmp_path)
    with pytest.raises(UserError, match="no such weights"):
        write_held_out(task, tmp_path / "nowhere", tmp_path)


def test_the_labels_and_the_probe_decide_the_scores(task, tmp_path):
    held_out(task, tmp_path / "made")
    weights = tmp_path / "made" / WEIGHTS
    labels = np.array(task.train.labels)
    labels[0] *= -1
    train = put_features(tmp_path / "x.h5", "train", np.asarray(task.train.layer("fc7")), labels)
    before = held_out_decided_by(task, weights)
    assert held_out_decided_by(dataclasses.replace(task, train=train), weights) != before
    assert held_out_decided_by(dataclasses.replace(task, name="another"), weights) == before
