import json
import time

import numpy as np
import pytest
from safetensors import safe_open

from pool5.errors import UserError
from pool5.params import Probe
from pool5.probe import logistic_regression
from pool5.probe.kinds import write_tensors
from pool5.probe.linear_probe import gaps_of, normalise, train_probe
from pool5.search.vectors import check_finite

CLASSES = ("cat", "dog", "emu", "fox")
SETTINGS = Probe(of="m/fc7", C=(0.1, 1.0, 10.0, 100.0), folds=3)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    features = np.maximum(rng.normal(size=(300, 50)), 0).astype(np.float16) * 7
    labels = np.where(features[:, :4] > 7, 1, -1).astype(np.int8)
    labels[:, 1] = -1  # no image
    labels[:, 2] = np.where(np.arange(300) == 5, 1, -1)  # one image
    labels[rng.random((300, 4)) < 0.02] = 0
    labels[5, 2] = 1
    return features, labels


@pytest.fixture(scope="module")
def probe(data):
    return train_probe(*data, CLASSES, SETTINGS, "frozen")


def test_a_class_without_positives_has_constant_logits_and_is_named(data, probe):
    logits = probe.logits(data[0])
    assert gaps_of(probe.record, "train") == (
        "dog on none or on all of the images of train; the logits of that class say nothing",
    )
    assert np.ptp(logits[:, 1]) == 0
    assert logits[0, 1] == pytest.approx(np.log(0.5 / ((data[1][:, 1] == -1).sum() + 0.5)), rel=1e-6)
    assert np.isfinite(logits).all()


def test_a_class_with_one_positive_takes_the_shared_c_unvalidated(probe):
    emu = probe.record.classes[2]
    assert probe.record.shared_C == emu.C
    assert emu.cv_ap is None
    assert probe.record.metrics()["cv_ap"]["emu"] is None


def test_what_a_layer_shows_the_probe_reads(data, probe):
    logits = probe.logits(data[0])
    for k in (0, 3):
        assert logits[data[1][:, k] == 1, k].mean() > logits[data[1][:, k] == -1, k].mean() + 1


def test_scaling_an_image_changes_no_logit(data, probe):
    features = data[0].astype(np.float32)
    scale = np.linspace(0.01, 100, 300, dtype=np.float32)[:, None]
    np.testing.assert_allclose(probe.logits(scale * features), probe.logits(features), atol=1e-4)


def test_an_image_of_zeros_has_finite_logits(probe):
    np.testing.assert_array_equal(normalise(np.zeros((1, 3))), 0)
    assert np.isfinite(probe.logits(np.zeros((1, 50)))).all()


def test_the_weights_file_gives_the_same_logits_and_the_same_bytes(tmp_path, data, probe):
    again = train_probe(*data, CLASSES, SETTINGS, "frozen")
    for name, content in (("a", probe), ("b", again)):
        write_tensors(tmp_path / name, content, {"node": "flatten", "architecture": "resnet18"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with safe_open(tmp_path / "a", "np") as file:
        about = json.loads(file.metadata()["pool5"])
        logits = normalise(data[0]) @ file.get_tensor("weight").T + file.get_tensor("bias")
    np.testing.assert_allclose(logits, probe.logits(data[0]), rtol=1e-5, atol=1e-5)
    assert about["of"] == "m/fc7"
    assert about["classes"] == ["cat", "dog", "emu", "fox"]
    assert about["C"]["dog"] is None


@pytest.mark.parametrize("labels", [np.full((300, 2), -1, np.int8), np.full((300, 2), 1, np.int8)])
def test_labels_that_teach_nothing_leave_constant_logits_and_say_so(data, labels):
    labels[0, 0] *= -1  # one image of the other kind is too few to choose C by
    probe = train_probe(data[0], labels, ("a", "b"), SETTINGS, "frozen")
    logits = probe.logits(data[0])
    assert np.isfinite(logits).all()
    assert (np.ptp(logits, axis=0) == 0).all()
    assert gaps_of(probe.record, "train") == (
        "no class has two images of train that show it and two that do not; its logits say nothing",
    )
    assert probe.record.metrics()["cv_map"] is None


def test_without_classes_the_logits_have_no_column_and_the_files_can_be_written(tmp_path, data):
    probe = train_probe(data[0], np.empty((300, 0), np.int8), (), SETTINGS, "frozen")
    assert probe.logits(data[0]).shape == (300, 0)
    write_tensors(tmp_path / "w", probe, {})
    assert "the data set has no classes" in gaps_of(probe.record, "train")[0]


def test_a_layer_of_nan_names_the_layer_and_the_image():
    features = np.zeros((3, 2))
    features[1, 1] = np.nan
    with pytest.raises(UserError, match=r"caffenet/fc7 on test: 1 of 3 images .* first 000012"):
        check_finite(features, np.array(["000005", "000012", "000020"]), "caffenet", "caffenet/fc7 on test")


@pytest.mark.parametrize("C", [(1e9,), (1e-20,)])
def test_a_regression_that_does_not_converge_keeps_its_last_step_and_says_so(C, monkeypatch):
    monkeypatch.setattr(logistic_regression, "_MAX_STEPS", 60)  # what 500 do not reach, 60 do not
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(5, 20)), 20, axis=0)
    labels = np.where(rng.random((100, 4)) < 0.3, 1, -1)
    probe = train_probe(features, labels, list("abcd"), Probe(of="m/fc7", C=C, folds=3), "p")
    assert np.isfinite(probe.tensors["weight"]).all()
    assert np.isfinite(probe.tensors["bias"]).all()
    unsolved = [each.class_name for each in probe.record.classes if not each.converged]
    assert unsolved
    (gap,) = gaps_of(probe.record, "train")
    assert gap.startswith(f"the regression of {', '.join(unsolved)} had not converged")


@pytest.mark.perf
def test_twenty_classes_on_5000_rows_of_4096_choose_among_six_values_in_a_minute():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(5000, 256)).astype(np.float32) * np.arange(1, 257, dtype=np.float32) ** -0.5
    features = hidden @ (0.5 * rng.normal(size=(256, 4096)).astype(np.float32))
    features = np.maximum(features + 0.3 * rng.normal(size=features.shape).astype(np.float32), 0)
    scores = hidden[:, :20] / hidden[:, :20].std(axis=0) + 0.7 * rng.normal(size=(5000, 20))
    prevalence = np.append(0.4, np.linspace(0.03, 0.1, 19))
    labels = np.where(scores > np.quantile(scores, 1 - prevalence, axis=0).diagonal(), 1, -1)
    start = time.perf_counter()
    train_probe(features, labels, [f"class {c}" for c in range(20)], Probe(of="m/fc7"))
    assert time.perf_counter() - start < 60
