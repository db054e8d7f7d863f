from __future__ import annotations

import dataclasses
import os
import shutil

import numpy as np
import pytest

from pool5.project import Project
from pool5.questions.question import Question, Term
from pool5.serve.live_store import LiveStore
from pool5.store.feature_file import FeatureFile, write_feature_file

ASKED = Question((Term("000005", "id"),))


@pytest.fixture
def copied(page_folder, tmp_path):
    shutil.copytree(page_folder, tmp_path / "project")
    return Project(tmp_path / "project")


@pytest.fixture
def live(copied):
    return LiveStore(copied)


def looks(live, times=3):
    """Whether one of some looks, one after the other, found a new state."""
    return any(live.look() for _ in range(times))


def edited(project, old, new):
    text = project.params.read_text()
    assert old in text
    project.params.write_text(text.replace(old, new))


def away(path):
    aside = path.with_suffix(".away")
    path.rename(aside)
    return aside


def test_without_a_change_the_state_stays(live):
    before = live.store()
    assert not looks(live)
    assert live.store() is before


def test_a_change_is_taken_when_it_is_at_rest_and_not_at_the_first_look(live, copied):
    edited(copied, "name: toy", "name: boy")
    assert not live.look()
    assert live.look()
    assert live.store().params.dataset.name == "boy"
    assert live.trouble == ""


def test_a_file_that_is_only_newer_is_no_new_state(live, copied):
    before = live.store()
    os.utime(copied.features("net", "test"))
    assert not looks(live)
    assert live.store() is before


@pytest.mark.parametrize("what", ["test", "train"])
def test_while_features_are_away_the_old_state_answers(live, copied, what):
    before = live.store().answer(ASKED, "net/pooled")
    path = copied.features("net", what)
    aside = away(path)
    assert not looks(live)
    assert f"the features of net on {what} are not there any more" in live.trouble
    assert live.store().answer(ASKED, "net/pooled", split="test") == before
    aside.rename(path)
    assert not looks(live)
    assert live.trouble == ""


def test_while_params_cannot_be_read_the_old_state_answers(live, copied):
    text = copied.params.read_text()
    copied.params.write_text(text + "nonsense: {\n")
    assert not looks(live)
    assert "params.yaml" in live.trouble
    assert live.store().answer(ASKED, "net/pooled")
    copied.params.write_text(text)
    assert not looks(live)
    assert live.trouble == ""


def test_features_that_params_ask_for_no_more_are_no_new_state(live, copied):
    edited(copied, "{resize: 36, crop: 32}", "{resize: 40, crop: 32}")
    assert not looks(live)
    assert live.trouble == "the features of net/pooled are not those that params.yaml asks for"


def test_features_without_a_layer_that_params_name_are_no_new_state(live, copied):
    edited(copied, "{pooled: flatten}", "{pooled: flatten, more: classifier.0}")
    assert not looks(live)
    assert live.trouble == "the features of net/more are not those that params.yaml asks for"


def test_a_model_that_is_named_no_more_is_gone(live, copied):
    shutil.rmtree(copied.feature_folders / "net")
    text = copied.params.read_text()
    start, end = text.index("  net:\n"), text.index("extract:")
    copied.params.write_text(text[:start] + text[end : text.index("tsne:")])
    assert looks(live)
    assert [layer for layer in live.store().layers if layer.startswith("net/")] == []


def test_other_values_are_a_new_state(live, copied):
    before = live.store().answer(ASKED, "net/pooled", metric="l2")
    rewritten(copied.features("net", "test"))
    assert looks(live)
    after = live.store().answer(ASKED, "net/pooled", metric="l2")
    assert after.state != before.state
    assert after.neighbors[0].distance == pytest.approx(2 * before.neighbors[0].distance)


def test_a_derived_layer_of_other_features_is_no_new_state(live, copied):
    for split in ("test", "train"):
        rewritten(copied.derived("unit", split), weights_sha256="0" * 64)
    assert not looks(live)
    assert live.trouble == "unit/image was derived from other features than those of clip/image"


def test_another_key_on_one_split_is_no_new_state(live, copied):
    rewritten(copied.derived("unit", "train"), weights_sha256="0" * 64)
    assert not looks(live)
    assert live.trouble == "unit/image has another key on train than on test"


def test_one_model_of_other_images_is_no_new_state(live, copied):
    rewritten(copied.features("net", "test"), rows=slice(100))
    assert not looks(live)
    assert live.trouble == "the models' features on test are of different images"


def test_a_damaged_file_is_no_new_state(live, copied):
    path = copied.features("net", "test")
    data = bytearray(path.read_bytes())
    replaced(path, bytes(data[: len(data) // 2]))
    assert not looks(live)
    assert live.trouble
    assert live.store().answer(ASKED, "net/pooled")


def replaced(path, data):
    """Through a rename, as everything that Pool5 and DVC write."""
    aside = path.with_suffix(".new")
    aside.write_bytes(data)
    aside.replace(path)


def rewritten(path, rows=slice(None), **key):
    """Put a feature file there with other values, of some rows, and other fields of its keys."""
    old = FeatureFile.open(path)
    write_feature_file(
        path,
        dataset=old.dataset,
        split=old.split,
        model=old.model,
        classes=old.classes,
        ids=old.ids[rows],
        digests=old.digests[rows],
        labels=old.labels[rows],
        layers={name: np.array(values[rows]) * np.float32(2) for name, values in old.layers.items()},
        keys={name: dataclasses.replace(old.feature_key(name), **key) for name in old.layers},
        shapes={name: shape for name in old.layers if (shape := old.shape(name))},
    )
