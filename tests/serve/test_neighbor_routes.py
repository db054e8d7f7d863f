from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pool5.questions.plain import plain
from pool5.questions.question import Question, Term

pytest.importorskip("starlette", reason="starlette is not installed: there is no service")

NET = {"model": "net", "layer": "pooled"}


def told(answer):
    return [(near["rank"], near["id"], near["distance"]) for near in answer.json()["neighbors"]]


def in_python(store, layer, k, *terms, **options):
    answer = store.answer(Question(terms), layer, k, **options)
    return [(near.rank, near.id, near.distance) for near in answer.neighbors]


def test_an_id_is_answered_as_in_python(client, page_store):
    answer = client.get("/api/neighbors", params={"id": "000005", "k": 7, **NET})
    asked = page_store.answer(Question((Term("000005", "id"),)), "net/pooled", 7)
    assert answer.json() == plain(asked)
    assert answer.headers["content-type"] == "application/json"


def test_without_a_layer_the_first_is_asked(client, page_store):
    answer = client.get("/api/neighbors", params={"id": "000005"})
    assert answer.json()["layer"] == next(iter(page_store.layers))
    assert len(answer.json()["neighbors"]) == 4


def test_classes_split_and_metric_are_as_in_python(client, page_store):
    asked = {"id": "000005", "k": 3, "class": ["cat", "dog"], "split": "train", "metric": "l2", **NET}
    answer = client.get("/api/neighbors", params=asked)
    options = {"classes": ["cat", "dog"], "split": "train", "metric": "l2"}
    assert told(answer) == in_python(page_store, "net/pooled", 3, Term("000005", "id"), **options)
    assert all({"cat", "dog"} & set(near["labels"]) for near in answer.json()["neighbors"])


def test_ids_and_minus_are_one_question(client, page_store):
    asked = {"id": ["000005", "900003"], "minus": "000009", "k": 5, **NET}
    terms = Term("000005", "id"), Term("900003", "id"), Term("000009", "id", minus=True)
    answer = client.get("/api/neighbors", params=asked)
    assert told(answer) == in_python(page_store, "net/pooled", 5, *terms)
    assert answer.json()["question"]["terms"][2] == {"what": "000009", "kind": "id", "minus": True}
    assert {near["as_near"] for near in answer.json()["neighbors"]} == {None}


def test_a_vector_is_asked_as_it_is(client, page_store):
    file, own = page_store.file("net/pooled")
    vector = np.asarray(file.layer(own)[5], np.float64)
    answer = client.post("/api/neighbors", json={"vector": vector.tolist(), "k": 3, **NET})
    assert answer.json()["neighbors"][0]["id"] == "000005"
    assert answer.json()["neighbors"][0]["distance"] == pytest.approx(0, abs=1e-6)


def test_json_gives_what_the_link_gives(client):
    link = client.get("/api/neighbors", params={"id": ["000005", "000006"], "class": "cat", "k": 3, **NET})
    json = client.post("/api/neighbors", json={"ids": ["000005", "000006"], "class": "cat", "k": 3, **NET})
    assert json.json() == link.json()


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream"])
def test_an_image_in_the_body_finds_itself(client, page_folder, kind):
    data = (page_folder / "data/raw/toy/000005.png").read_bytes()
    answer = client.post(
        "/api/neighbors", params={"k": 2, **NET}, content=data, headers={"Content-Type": kind}
    )
    assert answer.status_code == 200, answer.json()
    assert (answer.json()["neighbors"][0]["id"], answer.json()["neighbors"][0]["distance"]) == ("000005", 0.0)
    assert answer.json()["question"]["terms"] == [{"what": "image", "kind": "image", "minus": False}]


def test_words_are_asked_of_a_model_that_reads(client):
    answer = client.get(
        "/api/neighbors", params={"text": "a cat", "minus": "a dog", "model": "clip", "layer": "image"}
    )
    assert [term["kind"] for term in answer.json()["question"]["terms"]] == ["text", "text"]


def test_what_the_client_has_is_not_sent_again(client):
    asked = {"id": "000005", **NET}
    tag = client.get("/api/neighbors", params=asked).headers["etag"]
    again = client.get("/api/neighbors", params=asked, headers={"If-None-Match": f'"x", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/api/neighbors", params=asked | {"k": 5}).headers["etag"] != tag


@pytest.mark.parametrize(
    ("asked", "status", "why"),
    [
        ({}, 400, "nothing to ask with"),
        ({"minus": "000005"}, 400, "nothing to ask with"),
        ({"id": "nope"}, 404, "no image nope"),
        ({"id": "000005", "model": "nett"}, 404, "no layer nett/pooled is stored (did you mean net/pooled?)"),
        ({"id": "000005", "split": "val"}, 404, "not stored of split val"),
        ({"id": "000005", "class": "catt"}, 404, "no class catt (did you mean cat?)"),
        ({"id": "000005", "k": 0}, 400, "k is 0; ask for 1 to"),
        ({"id": "000005", "k": 110}, 400, "ask for 109 or fewer"),
        ({"id": "000005", "k": "few"}, 422, "$.k"),
        ({"id": "000005", "k": "9" * 5000}, 422, "$.k"),
        ({"id": "000005", "metric": "l1"}, 422, "$.metric"),
        ({"text": "a cat"}, 400, "no text tower"),
        ({"id": ["000005"] * 1001}, 400, "ask with 1000 or fewer"),
        ({"id": "000005", "minus": "000005"}, 400, "nothing is left"),
    ],
)
def test_what_cannot_be_asked_is_a_problem_that_says_why(client, page_folder, asked, status, why):
    answer = client.get("/api/neighbors", params=NET | asked)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert why in answer.json()["detail"]
    assert str(page_folder) not in answer.text
    assert set(answer.json()) == {"type", "title", "status", "detail"}


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{", 422),
        ("application/json", b"[" * 100_000, 422),
        ("application/json", b'{"id": "\xff"}', 422),
        ("application/json", b'{"vector": [NaN]}', 422),
        ("application/json", b'{"vector": [1e39, 1]}', 400),
        ("application/json", b'{"ids": ["000005"], "layers": 3}', 422),
        ("application/json", b'{"id": "\\ud800"}', 422),
        ("text/plain", b"000005", 415),
        ("image/png", b"no image", 400),
    ],
)
def test_a_body_that_is_no_question_is_a_problem(client, kind, body, status):
    answer = client.post("/api/neighbors", params=NET, content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["status"]) == (status, status), answer.json()


def test_a_body_that_says_it_is_too_long_is_not_read(client):
    class Body:
        def __iter__(self):
            yield b"x"
            raise AssertionError("it was read")

    service = client.app.state.service
    headers = {"Content-Type": "image/png", "Content-Length": str(service.limits.body_bytes + 1)}
    answer = client.post("/api/neighbors", params=NET, content=b"x", headers=headers)
    assert answer.status_code == 413


def test_a_body_that_is_too_long_is_refused(client, monkeypatch):
    bodies = client.app.state.service.bodies
    monkeypatch.setattr(bodies, "_limits", dataclasses.replace(bodies._limits, body_bytes=10))
    answer = client.post(
        "/api/neighbors", params=NET, content=iter([b"x" * 8] * 2), headers={"Content-Type": "image/png"}
    )
    assert answer.status_code == 413
    assert bodies._taken == 0


def test_too_many_questions_at_once_are_told_to_come_again(client, monkeypatch):
    monkeypatch.setattr(client.app.state.service, "waiting", client.app.state.service.limits.waiting)
    answer = client.get("/api/neighbors", params={"id": "000005"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
