"""Questions that wait together are one search, and nobody can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool5.errors import UserError
from pool5.project import Project
from pool5.questions.answers import Answer
from pool5.questions.open_store import OpenStore
from pool5.questions.question import Question, Term
from pool5.search.searcher import Searcher
from pool5.serve.batching import Batches
from tests.cli.small_project import TEST_ROWS, make_project
from tests.conftest import made_once
from tests.own_loop import run_alone

LAYER = "net/pooled"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> OpenStore:
    return OpenStore.open(Project(made_once(tmp_path_factory, "small", make_project)))


def by_id(number: int, *, minus: int | None = None) -> Question:
    terms = (Term(f"0{number:05d}", "id"),)
    return Question(terms if minus is None else (*terms, Term(f"0{minus:05d}", "id", minus=True)))


def by_vector(store: OpenStore, number: int) -> Question:
    values = np.array(store.file(LAYER)[0].layer("pooled")[number])
    return Question((Term("vector 1", "vector", values=values),))


def ask_at_once(
    store: OpenStore, asked: Sequence[tuple[Question, int, Sequence[str]]]
) -> list[Answer | BaseException]:
    async def all_of_them() -> list[Answer | BaseException]:
        batches = Batches()
        questions = (batches.answer(store, question, LAYER, k, classes) for question, k, classes in asked)
        return await asyncio.gather(*questions, return_exceptions=True)

    return run_alone(all_of_them())


@pytest.fixture
def searches(monkeypatch) -> list[int]:
    """How many questions each search was of."""
    counts: list[int] = []
    query = Searcher.query

    def counted(self, what, *arguments, **named):
        counts.append(1 if isinstance(what, str) else len(what))
        return query(self, what, *arguments, **named)

    monkeypatch.setattr(Searcher, "query", counted)
    return counts


def test_what_waits_together_is_one_search(store, searches):
    found = ask_at_once(store, [(by_id(number), 4, ()) for number in range(64)])
    assert searches == [64]
    assert found == [store.answer(by_id(number), LAYER) for number in range(64)]


def test_a_question_waits_for_no_others_and_what_comes_meanwhile_is_the_next_search(store, searches):
    async def ask() -> None:
        batches = Batches()
        first = asyncio.create_task(batches.answer(store, by_id(0), LAYER))
        while not searches:  # until it is at work
            await asyncio.sleep(0)
        await asyncio.gather(first, *(batches.answer(store, by_id(number), LAYER) for number in range(1, 9)))

    run_alone(ask())
    assert searches == [1, 8]


one_question = st.tuples(
    st.sampled_from(["id", "sum", "vector"]),
    st.integers(0, TEST_ROWS - 1),
    st.integers(1, 20),
    st.sampled_from([(), ("cat",), ("cat", "dog")]),
)


@settings(deadline=None, max_examples=25)
@given(st.lists(one_question, min_size=1, max_size=30))
def test_each_is_answered_as_if_it_were_alone(store, drawn):
    asked = []
    for kind, number, k, classes in drawn:
        if kind == "vector":
            question = by_vector(store, number)
        else:
            question = by_id(number, minus=(number + 1) % TEST_ROWS if kind == "sum" else None)
        asked.append((question, k, classes))
    alone = [store.answer(question, LAYER, k, classes) for question, k, classes in asked]
    assert ask_at_once(store, asked) == alone


def test_one_that_is_refused_spoils_it_for_nobody(store):
    there = TEST_ROWS - 1
    asked = [(by_id(0), there, ()), (by_id(1), there, ()), (by_id(2), there + 1, ()), (by_id(3), 2, ("ca",))]
    found = ask_at_once(store, asked)
    assert [isinstance(each, Answer) for each in found] == [True, True, False, False]
    assert isinstance(found[2], UserError)
    assert "there are only 229 images to find" in str(found[2])
    assert "no class ca (did you mean cat?)" in str(found[3])
    assert len(found[1].neighbors) == there


def test_who_went_away_is_not_missed(store):
    async def ask() -> list[Answer]:
        batches = Batches()
        tasks = [asyncio.create_task(batches.answer(store, by_id(number), LAYER)) for number in range(6)]
        await asyncio.sleep(0)
        for gone in (tasks[0], tasks[3]):
            gone.cancel()
        left = [task for task in tasks if task not in (tasks[0], tasks[3])]
        return await asyncio.gather(*left)

    assert run_alone(ask()) == [store.answer(by_id(number), LAYER) for number in (1, 2, 4, 5)]


def test_an_error_of_the_search_reaches_whoever_asked(store, monkeypatch):
    def broken(self, *arguments, **named):
        raise OSError("the disk is gone")

    monkeypatch.setattr(Searcher, "query", broken)
    found = ask_at_once(store, [(by_id(number), 4, ()) for number in range(3)])
    assert [str(each) for each in found] == ["the disk is gone"] * 3


def test_layers_of_two_states_are_never_one_search(store, tmp_path_factory, searches):
    other = OpenStore.open(Project(Path(store.project.root)))

    async def ask() -> list[Answer]:
        batches = Batches()
        asked = [batches.answer(each, by_id(number), LAYER) for number in range(8) for each in (store, other)]
        return await asyncio.gather(*asked)

    assert len(run_alone(ask())) == 16
    assert searches == [8, 8]
