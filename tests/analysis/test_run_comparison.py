"""Runs beside a baseline: paired where both have rows of the same images, told where not."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from pool5.analysis.ap_comparison import compare_models
from pool5.analysis.runs.comparison import changed_parameters, compare_runs
from pool5.analysis.runs.recorded_run import RecordedRun
from pool5.analysis.runs.tables import run_markdown
from pool5.errors import UserError
from pool5.project import Project
from pool5.results.ap import ApResult
from pool5.results.comparison import ComparedPair, CompareResult
from pool5.results.record import load_record, save_record
from pool5.store.logits_file import read_logits, write_logits
from tests.analysis.small_runs import CLASSES, COUNT, IDS, LABELS, MEASURES, NOISE, put_run


def of(found, measure: str, class_name: str | None = None):
    (row,) = [d for d in found.differences if (d.measure, d.class_name) == (measure, class_name)]
    return row


@pytest.fixture
def base(tmp_path):
    return put_run(tmp_path / "base")


def test_average_precision_is_paired_image_by_image_whatever_the_order_of_the_rows(base, tmp_path):
    other = put_run(tmp_path / "other", 0.4, order=np.random.default_rng(3).permutation(COUNT))
    found = compare_runs(base, [other])
    scores = [((LABELS == 1) + noise * NOISE[0]).astype(np.float32) for noise in (1.0, 0.4)]
    expected = compare_models(
        {"base": scores[0], "other": scores[1]},
        LABELS, CLASSES, split="test", measures=MEASURES, resamples=200, seed=0,
    )  # fmt: skip
    for row in expected.differences:
        own = of(found, row.measure, row.class_name)
        assert (own.difference, own.lo, own.hi, own.sign) == (row.difference, row.lo, row.hi, row.sign)
        assert own.paired
    assert of(found, "AP(voc2007)").sign == 1
    assert [run.why for run in found.runs] == [None, None]


def test_retrieval_is_paired_query_by_query(base, tmp_path):
    other = put_run(tmp_path / "other", 0.3, order=np.random.default_rng(3).permutation(COUNT))
    found = of(compare_runs(base, [other]), "P@4")
    by_hand = []
    for noise in (1.0, 0.3):
        vectors = np.hstack([LABELS == 1, noise * NOISE[1]]).astype(np.float64)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        similar = unit @ unit.T
        np.fill_diagonal(similar, -np.inf)
        near = np.argsort(-similar, axis=1)[:, :4]
        shares = (LABELS == 1).astype(int) @ (LABELS == 1).T.astype(int) > 0
        by_hand.append(np.take_along_axis(shares, near, axis=1).mean(axis=1))
    asks = (LABELS == 1).any(axis=1)
    gained = (by_hand[1] - by_hand[0])[asks]
    assert found.difference == pytest.approx(gained.mean())
    drawn = np.random.default_rng(9).choice(gained, (4000, len(gained))).mean(axis=1)
    assert [found.lo, found.hi] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.02)
    assert (found.paired, found.sign) == (True, 1)


def test_a_run_and_itself_do_not_differ(base):
    again = RecordedRun("again", base.source, base.project)
    found = compare_runs(base, [again])
    assert {row.difference for row in found.differences} == {0.0}
    assert {row.sign for row in found.differences} == {0}
    assert found.parameters == ()
    assert "None that decides a result" in run_markdown(found)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": LABELS[:50], "ids": IDS[:50]}, "other test images (50 and 60; 10 are in one only"),
        ({"classes": ("cat", "dog", "bird")}, "other classes (bird is in one only)"),
        ({"classes": ("dog", "cat", "person")}, "classes in another order"),
        ({"labels": np.where(np.arange(COUNT)[:, None] < 2, -LABELS, LABELS)}, "other labels of 2 of the 60"),
    ],
)
def test_runs_that_cannot_be_compared_are_told_in_a_line_and_keep_their_values(base, tmp_path, change, told):
    other = put_run(tmp_path / "other", 0.4, **change)
    third = put_run(tmp_path / "third", 0.4)
    found = compare_runs(base, [other, third])
    assert [run.comparable for run in found.runs] == [True, False, True]
    assert told in found.runs[1].why
    assert {row.run for row in found.differences} == {"third"}
    assert {value.run for value in found.values} == {"base", "other", "third"}
    text = run_markdown(found)
    assert sum("cannot be compared" in line for line in text.splitlines()) == 1


def test_without_rows_the_recorded_intervals_have_to_lie_apart(base, tmp_path):
    other = put_run(tmp_path / "other", 0.2)
    shutil.rmtree(other.project.feature_folders)
    shutil.rmtree(other.project.probes)
    found = compare_runs(base, [other])
    assert "no rows of other are stored here" in found.runs[1].why
    row = of(found, "P@4")
    assert (row.paired, row.lo, row.hi) == (False, None, None)
    values = {value.run: value for value in found.values if value.measure == "P@4"}
    assert row.sign == int(values["other"].lo > values["base"].hi)
    assert "~" in run_markdown(found)


def test_a_graph_that_is_not_there_leaves_that_layer_alone_unpaired(base, tmp_path):
    other = put_run(tmp_path / "other", 0.4)
    shutil.rmtree(other.project.neighbor_folders)
    found = compare_runs(base, [other])
    assert of(found, "AP(area)").paired
    assert not of(found, "P@4").paired
    (remark,) = found.remarks
    assert remark.startswith("other: net/fc: not paired: other: data/neighbors/net/fc.h5")


def test_rows_of_other_images_than_the_rest_of_a_run_are_not_paired(base, tmp_path):
    other = put_run(tmp_path / "other", 0.4)
    logits = read_logits(other.project.probe("p"))
    write_logits(other.project.probe("p"), dataclasses.replace(logits, ids=IDS[::-1]))
    found = compare_runs(base, [other])
    assert not of(found, "AP(area)").paired
    assert of(found, "P@4").paired
    assert "other: p: not paired: other: its rows are of other images" in found.remarks[0]


def test_cka_is_paired_from_the_stored_layers(base, tmp_path):
    other = put_run(tmp_path / "other", 0.2)
    for run, value in ((base, 0.5), (other, 0.6)):
        pair = ComparedPair(
            first="net/fc", second="net/fc", measure="CKA", value=value, lo=value - 0.2, hi=value + 0.2,
            chance=0.0, chance_sd=0.01, images=COUNT,
        )  # fmt: skip
        record = CompareResult(
            split="test", images=COUNT, metric="cosine", layers=("net/fc",), measures=("CKA",), pairs=(pair,)
        )
        save_record(record, run.project.result("compare"))
    found = of(compare_runs(base, [other]), "CKA")
    # a layer and itself have a CKA of 1 in both
    assert found.paired
    assert found.difference == pytest.approx(0, abs=1e-9)
    assert found.of == "net/fc ~ net/fc"


def test_parameters_that_decide_are_listed_where_they_differ(tmp_path):
    first = put_run(tmp_path / "first")
    neighbors = {"of": ["net/fc"], "bootstrap": 200, "depth": 20, "k": 3}
    second = put_run(tmp_path / "second", neighbors=neighbors, extract={"batch_size": 8, "precision": "bf16"})
    found = {each.key: each.values for each in changed_parameters({"a": first.params, "b": second.params})}
    assert found == {
        "extract.precision": {"a": "fp32", "b": "bf16"},
        "neighbors.k": {"a": 4, "b": 3},
    }


def test_errors_name_the_run_in_one_line(base, tmp_path):
    empty = Project(tmp_path / "empty")
    empty.root.mkdir()
    with pytest.raises(UserError, match=r"^empty: .* has no results of ap"):
        compare_runs(base, [RecordedRun("empty", "x", empty)])
    other = put_run(tmp_path / "other")
    path = other.project.result("ap")
    path.write_text(path.read_text().replace("voc2007", "voc2008"))
    with pytest.raises(UserError, match=r"^other: data/results/ap.json: not a result, or damaged") as told:
        compare_runs(base, [other])
    assert "\n" not in str(told.value)


def test_names_cannot_become_markup(base, tmp_path):
    odd = RecordedRun("a|b*c", "x", put_run(tmp_path / "other").project)
    text = run_markdown(compare_runs(base, [odd]))
    assert "a|b" not in text
    assert r"a\|b\*c" in text
    assert load_record(ApResult, base.project.result("ap")).models == ("p",)
    assert json.loads(base.project.params.read_text())
