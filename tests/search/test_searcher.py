"""The door to the search: ids in, typed neighbors out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pool5.errors import UserError
from pool5.search import Neighbor, Searcher
from pool5.store.feature_file import FeatureFile


def test_neighbors_come_with_rank_id_distance_and_labels(write_features):
    path = write_features()
    features = FeatureFile.open(path)
    found = Searcher.open(path, "fc7").query("000003", k=3)
    assert [near.rank for near in found] == [1, 2, 3]
    assert [near.id for near in found[:2]] == ["000007", "000200"]  # its duplicates
    assert [near.distance for near in found[:2]] == [0.0, 0.0]
    for near in found:
        assert isinstance(near, Neighbor)
        row = features.rows([near.id])[0]
        assert near.labels == tuple(np.array(features.classes)[features.labels[row] == 1])


def test_several_ids_give_a_list_for_each(write_features):
    searcher = Searcher.open(write_features(), "fc7", "l2")
    together = searcher.query(["000200", "000001"], k=5)
    assert together == [searcher.query("000200", 5), searcher.query("000001", 5)]
    assert [found.query for found in together] == ["000200", "000001"]


def test_a_vector_finds_the_row_that_it_equals(write_features):
    path = write_features()
    vector = np.asarray(FeatureFile.open(path).layer("half")[40:41])
    (found,) = Searcher.open(path, "half").query(vector, k=1)
    assert (found[0].id, found[0].distance) == ("000040", 0.0)


def test_a_class_filter_finds_only_images_that_show_one_of_the_classes(write_features):
    path = write_features()
    features = FeatureFile.open(path)
    found = Searcher.open(path, "fc7").query("000003", k=60, classes=["cat", "dog"])
    assert all({"cat", "dog"} & set(near.labels) for near in found)
    shown = (features.labels[:, :2] == 1).any(axis=1)
    vectors = features.layer("fc7").astype(np.float64)
    cosines = vectors @ vectors[3] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[3])
    shown[3] = False
    np.testing.assert_allclose([near.distance for near in found], np.sort(1 - cosines[shown])[:60], atol=1e-6)


def test_an_image_with_only_difficult_instances_does_not_show_the_class(write_features):
    searcher = Searcher.open(write_features(), "fc7")
    assert searcher.features.labels_of(5) == ("person",)
    assert "000005" not in [near.id for near in searcher.query("000003", 50, ["cat"])]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({"what": "00003"}, r"no image 00003 in split test \(did you mean 0"),
        ({"what": "000003", "k": 300}, r"k is 300, but there are only 299"),
        (
            {"what": "000003", "classes": ["cta"]},
            r"no class cta \(did you mean cat\?\); it has cat, dog",
        ),
        ({"what": np.zeros((1, 23))}, r"\(n, 24\)"),
    ],
)
def test_a_wrong_question_is_told_in_one_line(write_features, ask, message):
    with pytest.raises(UserError, match=message) as error:
        Searcher.open(write_features(), "fc7").query(**ask)
    assert "\n" not in str(error.value)


def test_a_class_that_nothing_shows_is_told(write_features, monkeypatch):
    searcher = Searcher.open(write_features(), "fc7")
    searcher.features.__dict__["labels"] = np.full((300, 3), -1, np.int8)
    with pytest.raises(UserError, match=r"no image of split test shows cat or dog"):
        searcher.query("000003", classes=["cat", "dog"])


def test_a_missing_layer_names_those_that_there_are(write_features):
    with pytest.raises(UserError, match=r"no layer fc8; it has fc7, half"):
        Searcher.open(write_features(), "fc8")


def test_in_a_notebook_the_answer_is_a_table_with_thumbnails(write_features, tmp_path: Path):
    images = {f"{number:06d}": tmp_path / f"{number}.png" for number in range(300)}
    for name in ("000003", "000007", "000200"):
        Image.new("RGB", (40, 30), "red").save(images[name])
    path = write_features()
    html = Searcher.open(path, "fc7", images=images).query("000003", 2)._repr_html_()
    assert html.count("data:image/jpeg;base64,") == 3
    assert re.findall(r"<td>(\d)</td>", html) == ["1", "2"]
    assert "<img" not in Searcher.open(path, "fc7").query("000003", 2)._repr_html_()


def test_images_that_a_vector_was_made_from_are_left_out(write_features):
    path = write_features()
    searcher = Searcher.open(path, "fc7")
    vector = np.asarray(searcher.features.layer("fc7")[3:4])
    (found,) = searcher.query(vector, 4, without=["000003", "000200"])
    assert [near.id for near in found] == [
        near.id for near in searcher.query("000003", 5) if near.id != "000200"
    ]
