"""`store.ask`: one question to several layers, from Python."""

from __future__ import annotations

import re

import numpy as np
import pytest

import pool5
from pool5.errors import NotThere, UserError
from pool5.questions.open_store import OpenStore
from pool5.questions.plain import plain
from pool5.search.searcher import Searcher

IMAGE, OTHER, TRAINING = "000003", "000020", "900004"


@pytest.fixture(scope="module")
def store(project) -> OpenStore:
    return pool5.open(project)


def ids(answer) -> list[str]:
    return [near.id for near in answer.neighbors]


def test_an_id_is_asked_of_the_first_four_layers_and_answered_as_the_searcher_does(store, project):
    answers = store.ask(IMAGE, k=5)
    assert [answer.layer for answer in answers] == list(store.layers)[:4]
    for answer in answers:
        features, own = store.file(answer.layer)
        assert list(answer.neighbors) == Searcher.open(features.path, own).query(IMAGE, 5)
        assert IMAGE not in ids(answer)


def test_shared_counts_the_layers_that_found_an_image(store):
    answers = store.ask(IMAGE, k=30)
    found = [name for answer in answers for name in ids(answer)]
    assert answers.shared == {name: found.count(name) for name in found if found.count(name) > 1}
    assert {"000007", "000100"} <= set(answers.shared)  # its copies


def test_how_near_is_near_is_told_by_random_pairs_of_the_split(store):
    (answer,) = store.ask(IMAGE, of="net/pooled", k=109)
    vectors = np.asarray(store.file("net/pooled")[0].layer("pooled"), np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    apart = (1 - unit @ unit.T)[np.triu_indices(len(unit), 1)]  # with fewer images than are drawn, of all
    assert answer.pairs == len(apart)
    shares = [(apart <= near.distance + 1e-7).mean() for near in answer.neighbors]
    np.testing.assert_allclose(answer.as_near, shares, atol=2 / len(apart))
    assert answer.as_near == tuple(sorted(answer.as_near))


def test_sums_and_words_have_no_such_share(store):
    (summed,) = store.ask(IMAGE, OTHER, of="net/pooled")
    assert summed.as_near == (None,) * 4
    assert not {IMAGE, OTHER} & set(ids(summed))


def test_words_are_asked_of_the_layers_that_lie_in_one_space_with_them(store):
    assert [answer.layer for answer in store.ask(text="a cat")] == ["clip/image", "unit/image"]
    with pytest.raises(UserError, match="no text tower"):
        store.ask(text="a cat", of="net/pooled")


def test_a_vector_is_asked_of_the_layers_of_its_width(store):
    row = np.asarray(store.file("net/pooled")[0].layer("pooled")[3])
    (answer,) = store.ask(vector=row, k=1)
    assert (answer.layer, answer.neighbors[0].id, answer.neighbors[0].distance) == ("net/pooled", IMAGE, 0.0)
    with pytest.raises(UserError, match="no layer has as many values"):
        store.ask(vector=row[:-1])


def test_a_minus_is_an_id_an_image_file_or_words(store, project):
    (answer,) = store.ask(
        IMAGE,
        minus=[OTHER, str(project.root / f"data/raw/toy/{OTHER}.png"), "snow"],
        of="clip/image",
    )
    assert [(term.kind, term.minus) for term in answer.question.terms] == [
        ("id", False),
        ("id", True),
        ("image", True),
        ("text", True),
    ]


def test_an_image_of_another_split_is_looked_up_there_and_may_not_be_missing(store):
    (answer,) = store.ask(TRAINING, of="net/pooled")
    assert answer.split == "test"
    with pytest.raises(NotThere, match="no image 00003 in split test"):
        store.ask("00003", of="net/pooled")


def test_nothing_to_ask_with_and_nothing_to_ask_are_told(store):
    with pytest.raises(UserError, match="nothing to ask with"):
        store.ask(minus=IMAGE)
    with pytest.raises(NotThere, match=r"no layer net/pooledd is stored \(did you mean net/pooled\?\)"):
        store.ask(IMAGE, of="net/pooledd")
    with pytest.raises(NotThere, match="nothing is stored of split val; there are test, train"):
        store.ask(IMAGE, split="val")


def test_in_a_notebook_the_layers_stand_side_by_side_with_pictures_and_shared_hits(store):
    answers = store.ask(IMAGE, k=3)
    page = answers._repr_html_()
    columns = re.findall(r"<th>([^<]+)<br>", page)
    assert columns == [answer.layer for answer in answers]
    assert page.count("data:image/jpeg;base64,") == 1 + 3 * len(answers)
    assert page.count('class="shared"') == sum(
        name in answers.shared for each in answers for name in ids(each)
    )
    assert page.count("in 4 of 4 layers") == 4 * sum(count == 4 for count in answers.shared.values())
    assert re.search(r"of pairs|none of [\d,]+ pairs", page)


def test_a_picture_that_is_gone_and_a_name_with_a_bracket_do_no_harm(store, monkeypatch):
    answers = store.ask(IMAGE, of="net/pooled", k=2)
    monkeypatch.setattr(answers, "_address", lambda name, split: store.project.root / "gone.png")
    assert "no picture" in answers._repr_html_()
    asked = store.ask(text="<b>cat</b>", of="clip/image")._repr_html_()
    assert "<b>cat" not in asked
    assert "&lt;b&gt;cat" in asked


def test_a_long_answer_shows_its_beginning(store):
    page = store.ask(IMAGE, of="net/pooled", k=60)._repr_html_()
    assert "… and 10 more" in page


def test_the_plain_answer_has_all_fields_of_the_service(store):
    (answer,) = store.ask(IMAGE, of="net/pooled", k=2)
    told = plain(answer)
    assert told["question"] == {"text": IMAGE, "terms": [{"what": IMAGE, "kind": "id", "minus": False}]}
    assert (told["k"], told["searched"], told["state"]) == (2, 109, store.state)
    assert [set(near) for near in told["neighbors"]] == [{"rank", "id", "distance", "labels", "as_near"}] * 2
