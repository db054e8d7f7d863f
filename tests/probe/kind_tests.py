"""What any kind of probe must pass: derive a class from `ProbeKindTests`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from pool5.errors import UserError
from pool5.params import Probe
from pool5.probe.held_out import HELD_OUT, write_held_out
from pool5.probe.kind import ProbeTask
from pool5.probe.kinds import KINDS, LOGITS, RECORD, WEIGHTS, decided_by, make_probe
from pool5.results.probe import ProbeResult
from pool5.results.record import load_record
from pool5.store.feature_file import FeatureFile
from pool5.store.logits_file import LogitsFile, read_logits

from .feature_files import draw_labels, put_features, put_task


class ProbeKindTests:
    """`settings` is a probe of the kind, on `net/fc7`."""

    settings: Probe

    @pytest.fixture
    def task(self, tmp_path) -> ProbeTask:
        return self.put(tmp_path, draw_labels(80, (0.4, 0.2, 0.5)), draw_labels(50, (0.4, 0.2, 0.5), 1))

    def put(self, folder: Path, labels: np.ndarray, truth: np.ndarray) -> ProbeTask:
        """A task; override it to put more into the folder of the model."""
        return put_task(folder, self.settings, labels, truth)

    def made(self, task: ProbeTask, folder: Path) -> tuple[LogitsFile, ProbeResult]:
        folder.mkdir()
        make_probe(task, folder)
        return read_logits(folder / LOGITS), load_record(ProbeResult, folder / RECORD)

    def test_the_logits_are_those_of_the_test_split_and_every_one_is_finite(self, task, tmp_path):
        logits, _ = self.made(task, tmp_path / "made")
        assert logits.logits.shape == (50, 3)
        assert logits.logits.dtype == np.float32
        assert np.isfinite(logits.logits).all()
        assert (logits.split, logits.of, logits.classes) == ("test", "net/fc7", task.test.classes)
        np.testing.assert_array_equal(logits.ids, task.test.ids)

    def test_the_tensors_say_what_they_belong_to_and_the_record_has_their_digest(self, task, tmp_path):
        _, record = self.made(task, tmp_path / "made")
        path = tmp_path / "made" / WEIGHTS
        with safe_open(path, "np") as file:
            about = json.loads(file.metadata()["pool5"])
            assert list(file.keys())
        assert (about["of"], about["classes"]) == ("net/fc7", list(task.test.classes))
        assert about["feature_key"]
        (probe,) = record.probes
        assert (probe.name, probe.kind, probe.of) == ("p", self.settings.kind, "net/fc7")
        assert [each.class_name for each in probe.classes] == list(task.test.classes)
        assert probe.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    def test_the_same_task_gives_the_same_bytes(self, task, tmp_path):
        for name in ("a", "b"):
            self.made(task, tmp_path / name)
        for name in (LOGITS, WEIGHTS, RECORD):
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()

    def test_the_labels_of_the_test_split_change_no_logit(self, task, tmp_path):
        other = put_features(tmp_path / "other.h5", "test", task.test.layer("fc7"), -task.test.labels)
        before, after = (
            self.made(dataclasses.replace(task, test=file), tmp_path / name)[0].logits
            for name, file in (("a", task.test), ("b", other))
        )
        np.testing.assert_array_equal(before, after)

    def test_a_row_asked_alone_has_what_it_has_among_others(self, task):
        probe = KINDS[self.settings.kind].train(task)
        features = np.asarray(task.test.layer("fc7"))
        together = probe.logits(features)
        for row in (0, 17):
            alone = probe.logits(features[row : row + 1])
            np.testing.assert_allclose(alone[0], together[row], rtol=1e-5, atol=1e-5)

    def test_the_held_out_scores_are_those_of_the_training_images(self, task, tmp_path):
        self.made(task, tmp_path / "made")
        write_held_out(task, tmp_path / "made" / WEIGHTS, tmp_path)
        found = read_logits(tmp_path / HELD_OUT)
        assert (found.split, found.logits.shape) == ("train", (80, 3))
        np.testing.assert_array_equal(found.ids, task.train.ids)
        assert np.isfinite(found.logits).all()

    def test_what_decides_it_is_plain_json_and_has_the_files(self, task, tmp_path):
        assert json.loads(json.dumps(decided_by(task)))
        other = put_features(
            tmp_path / "o.h5", "test", np.asarray(task.test.layer("fc7")) + 1, task.test.labels
        )
        assert decided_by(dataclasses.replace(task, test=other)) != decided_by(task)
        assert decided_by(dataclasses.replace(task, name="q")) != decided_by(task)

    @pytest.mark.parametrize("shares", [(), (0.5,), (0.5, 0.0), (1.0, 0.5)])
    def test_no_class_one_class_and_classes_of_no_or_all_images_are_no_errors(self, tmp_path, shares):
        labels, truth = (np.where(draw_labels(30, shares, seed) > 0, 1, -1) for seed in (0, 1))
        logits, _ = self.made(self.put(tmp_path, labels, truth), tmp_path / "made")
        assert logits.logits.shape == (30, len(shares))
        assert np.isfinite(logits.logits).all()

    def test_one_image_to_learn_from_is_no_error(self, tmp_path):
        one = np.array([[1, -1]])
        logits, _ = self.made(self.put(tmp_path, one, draw_labels(9, (0.5, 0.5))), tmp_path / "made")
        assert np.isfinite(logits.logits).all()

    def test_features_that_are_not_finite_name_the_layer_and_the_image(self, task, tmp_path):
        features = np.array(task.test.layer("fc7"))
        features[3, 5] = np.inf
        broken: FeatureFile = put_features(tmp_path / "broken.h5", "test", features, task.test.labels)
        with pytest.raises(UserError, match=r"net/fc7 on test: 1 of 50 images .* first test0003"):
            self.made(dataclasses.replace(task, test=broken), tmp_path / "made")
