"""A graph made from an earlier one is the graph that is made anew: the same file, byte for byte."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pool5.errors import UserError
from pool5.search import neighbor_update
from pool5.search.neighbor_graph import GraphSettings, write_graph
from pool5.search.neighbor_update import GraphUpdate, is_of
from pool5.store.feature_file import FeatureFile, write_feature_file
from pool5.store.feature_key import FeatureKey

Splits = dict[str, np.ndarray]
METRICS = ["cosine", "l2", "ip"]
SETTINGS = GraphSettings(metric="cosine", depth=10, exact_up_to=10_000, memory_gb=1.0, seed=0)


class Folder:
    """Where states of a data set have their feature files, their graphs, and what is kept beside these."""

    def __init__(self, path: Path, settings: GraphSettings = SETTINGS) -> None:
        self.path, self.settings = path, settings

    def make(self, state: str, splits: Splits, earlier: str | None = None, classes: int = 0) -> bytes:
        """The graph of a state, made from that of another."""
        files = []
        for name, vectors in splits.items():
            path = self.path / f"{state}-{name}.h5"
            write_feature_file(
                path, dataset="toy", split=name, model="net", classes=tuple("abc"[:classes]),
                ids=np.array([f"{number:03}" for number in range(len(vectors))]),
                digests=np.zeros((len(vectors), 16), np.uint8),
                labels=np.ones((len(vectors), classes), np.int8), layers={"fc7": vectors},
                keys={"fc7": FeatureKey("net", "0" * 64, "fc7", {}, "fp32", str(vectors.dtype), 1)},
            )  # fmt: skip
            files.append(FeatureFile.open(path))
        update = GraphUpdate(files, "fc7", earlier and self.kept_of(earlier))
        graph, beside = self.kept_of(state)
        write_graph(files, "fc7", self.settings, graph, update)
        update.save(beside)
        return graph.read_bytes()

    def kept_of(self, state: str) -> tuple[Path, Path]:
        return self.path / f"{state}-graph.h5", self.path / f"{state}-rows.npz"


@pytest.fixture
def updated(monkeypatch) -> list[bool]:
    """Of every pair of splits whose lists were asked for, whether an earlier graph gave them."""
    found, nearest = [], GraphUpdate.nearest

    def told(self, *args):
        answer = nearest(self, *args)
        found.append(answer is not None)
        return answer

    monkeypatch.setattr(GraphUpdate, "nearest", told)
    return found


def drawn(count: int, seed: int = 0, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


# few values of few dimensions: ties, copies and vectors of length 0 are the rule
few = st.tuples(*[st.integers(-1, 2)] * 2)


@st.composite
def changed(draw, rows: list) -> list:
    """Some rows are added, removed, replaced, or moved."""
    now = list(rows)
    for _ in range(draw(st.integers(0, 4))):
        at, to = draw(st.integers(0, 12)), draw(st.integers(0, 12))
        taken = [now.pop(at % len(now))] if now and draw(st.booleans()) else []
        if draw(st.booleans()):
            now[to:to] = taken or [draw(few)]  # what was taken has moved
        elif not taken or draw(st.booleans()):
            now[at:at] = [draw(few)]  # what was taken is replaced
    return now


@st.composite
def histories(draw) -> list[Splits]:
    """Three states of a data set of two splits."""
    dtype = draw(st.sampled_from([np.float32, np.float16]))
    states = [{name: draw(st.lists(few, max_size=10)) for name in ("train", "test")}]
    for _ in range(2):
        states.append({name: draw(changed(rows)) for name, rows in states[-1].items()})
    return [{name: np.array(rows, dtype).reshape(-1, 2) for name, rows in state.items()} for state in states]


@pytest.mark.parametrize("metric", METRICS)
@given(states=histories(), depth=st.integers(1, 6))
@settings(max_examples=10, deadline=None)
def test_whatever_was_changed_twice_the_file_is_that_of_a_graph_made_anew(
    metric, states, depth, tmp_path_factory
):
    folder = Folder(tmp_path_factory.mktemp("g"), dataclasses.replace(SETTINGS, metric=metric, depth=depth))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbor_update._Costs, "anew", float("inf"))
        patch.setattr(neighbor_update, "_LISTS_AT_ONCE", 3)
        patch.setattr(os, "fsync", lambda _: None)  # of a dozen files an example
        made = [folder.make(str(i), state, str(i - 1) if i else None) for i, state in enumerate(states)]
        assert made[1:] == [folder.make("anew", state) for state in states[1:]]


@pytest.mark.parametrize("metric", METRICS)
def test_a_few_new_rows_are_taken_in_and_a_few_lost_ones_out(tmp_path, metric, updated):
    folder = Folder(tmp_path, dataclasses.replace(SETTINGS, metric=metric))
    first = {"train": drawn(600), "test": drawn(200, 1)}
    folder.make("first", first)
    train = np.insert(np.delete(first["train"], [3, 77, 500], axis=0), 40, drawn(2, 2), axis=0)
    second = {"train": train, "test": first["test"][1:]}
    updated.clear()
    from_first = folder.make("second", second, "first")
    assert updated == [True] * 4
    assert from_first == folder.make("anew", second)


def test_ids_and_labels_alone_ask_for_no_search(tmp_path, monkeypatch):
    folder, state = Folder(tmp_path), {"train": drawn(300), "test": drawn(50, 1)}
    folder.make("first", state)
    searched = []
    monkeypatch.setattr(
        "pool5.search.exact.ExactSearch.search", lambda *args, **_: searched.append(args) or 1 / 0
    )
    folder.make("relabelled", state, "first", classes=2)
    assert searched == []


def test_where_much_is_new_it_is_made_anew(tmp_path, updated):
    folder, state = Folder(tmp_path), {"train": drawn(300)}
    folder.make("first", state)
    updated.clear()
    folder.make("second", {"train": np.concatenate([state["train"][:100], drawn(200, 2)])}, "first")
    assert updated == [False]


def test_lists_that_lost_more_than_is_spare_are_searched_again(tmp_path):
    folder = Folder(tmp_path, dataclasses.replace(SETTINGS, depth=4))
    near, far = drawn(8) * 0.01, drawn(300, 1) + 10
    state = {"train": np.concatenate([near, far])}
    folder.make("first", state)
    second = {"train": np.concatenate([near[:3], far])}
    assert folder.make("second", second, "first") == folder.make("anew", second)


def test_a_split_that_came_or_is_searched_through_an_index_is_made_anew(tmp_path, updated, monkeypatch):
    folder = Folder(tmp_path)
    train, test = drawn(300), drawn(60, 1)
    folder.make("first", {"train": train})
    updated.clear()
    folder.make("second", {"train": train, "test": test}, "first")
    assert updated == [True, False, False, False]
    monkeypatch.setattr("pool5.search.factory._EXACT_VALUES", 0)
    folder.settings = dataclasses.replace(SETTINGS, exact_up_to=100)
    through_index = folder.make("third", {"train": train, "test": test}, "second")
    assert through_index == folder.make("anew", {"train": train, "test": test})


def test_many_copies_of_one_image_are_no_more_than_a_list_can_hold(tmp_path, monkeypatch):
    folder = Folder(tmp_path, dataclasses.replace(SETTINGS, depth=3))
    blank = np.ones((200, 16), np.float32)
    folder.make("first", {"train": np.concatenate([blank, drawn(300)])})
    found = []
    distances = neighbor_update.ExactSearch.within

    def counted(self, *args):
        answer = distances(self, *args)
        found.append(len(answer[0]))
        return answer

    monkeypatch.setattr(neighbor_update.ExactSearch, "within", counted)
    second = {"train": np.concatenate([blank, drawn(300), blank[:20]])}
    assert folder.make("second", second, "first") == folder.make("anew", second)
    assert sum(found) <= 500 * 6


def test_a_new_row_that_is_not_finite_is_named_as_ever(tmp_path):
    folder, train = Folder(tmp_path), drawn(300)
    folder.make("first", {"train": train})
    train = np.insert(train, 17, np.nan, axis=0)
    with pytest.raises(UserError, match="row 17 of the features has a value that is not finite"):
        folder.make("second", {"train": train}, "first")


def test_a_graph_serves_the_same_layer_metric_and_depth(tmp_path):
    folder = Folder(tmp_path)
    folder.make("first", {"train": drawn(30)})
    graph, beside = folder.kept_of("first")
    assert is_of(graph, "net/fc7", "cosine", 10)
    for other in (("net/pool5", "cosine", 10), ("net/fc7", "l2", 10), ("net/fc7", "cosine", 9)):
        assert not is_of(graph, *other)
    assert not is_of(beside, "net/fc7", "cosine", 10)
    assert not is_of(tmp_path / "none.h5", "net/fc7", "cosine", 10)
