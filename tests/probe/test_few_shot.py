"""Few examples a class: what is drawn, what is measured, and how sure it is."""

from __future__ import annotations

import time

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from threadpoolctl import threadpool_limits

from pool5.measures.average_precision import average_precision
from pool5.params import Probe
from pool5.probe import linear_probe
from pool5.probe.few_shot import draw, few_shot, mean_with_interval
from pool5.probe.kinds import KINDS
from pool5.probe.linear_probe import FEW_SHOT_C, normalise
from pool5.results.few_shot import FewShotResult

from .feature_files import draw_labels, put_task

CLASSES = ("c0", "c1", "c2")
LABELS = draw_labels(200, (0.4, 0.2, 0.05))
TRUTH = draw_labels(90, (0.4, 0.2, 0.1), 1)
PROTOCOLS = ("sklearn", "voc2007")


def measured(task, protocols=PROTOCOLS) -> FewShotResult:
    whole = KINDS[task.settings.kind].train(task).logits(task.test.layer("fc7"))
    return few_shot(task, protocols, whole)


@pytest.fixture(scope="module", params=["linear", "knn"])
def task(request, tmp_path_factory):
    settings = Probe(of="net/fc7", kind=request.param, C=(1.0, 10.0), folds=3, k=5, shots=(4, 1, 16), seed=3)
    return put_task(tmp_path_factory.mktemp("task"), settings, LABELS, TRUTH)


@pytest.fixture(scope="module")
def result(task):
    return measured(task)


def test_of_each_class_so_many_images_that_show_it_are_drawn():
    for n in (1, 2, 8):
        rows = draw(LABELS, CLASSES, n, 0, 0)
        assert ((LABELS[rows] == 1).sum(axis=0) >= n).all()
        assert len(rows) <= 3 * n
        assert (np.diff(rows) > 0).all()
        assert (LABELS[rows] == 1).any(axis=1).all()


def test_a_class_with_fewer_images_gives_all_of_them():
    shown = np.flatnonzero(LABELS[:, 2] == 1)
    assert 0 < len(shown) < 40
    assert set(shown) <= set(draw(LABELS, CLASSES, 40, 0, 0))


def test_what_a_class_draws_does_not_depend_on_the_other_classes():
    alone = draw(LABELS[:, 1:2], CLASSES[1:2], 4, 2, 7)
    turned = draw(LABELS[:, ::-1], CLASSES[::-1], 4, 2, 7)
    assert len(alone) == 4
    assert set(alone) <= set(draw(LABELS, CLASSES, 4, 2, 7))
    np.testing.assert_array_equal(turned, draw(LABELS, CLASSES, 4, 2, 7))


def test_every_draw_is_another_one():
    draws = {tuple(draw(LABELS, CLASSES, 4, repeat, seed)) for repeat in range(6) for seed in range(3)}
    assert len(draws) == 18


def test_each_positive_is_drawn_about_as_often_as_any_other():
    shown = np.flatnonzero(LABELS[:, 0] == 1)
    drawn = [draw(LABELS[:, :1], CLASSES[:1], 10, repeat, 0) for repeat in range(600)]
    counts = np.bincount(np.concatenate(drawn), minlength=len(LABELS))[shown]
    assert stats.chisquare(counts).pvalue > 1e-4


def test_a_further_number_or_draw_changes_no_other(task, result):
    fewer = measured(replace_settings(task, shots=(4,)))
    for name, rows in fewer.by_class("AP(sklearn)").items():
        assert rows[0] == result.by_class("AP(sklearn)")[name][1]


def replace_settings(task, **given):
    return type(task)(task.name, replace(task.settings, **given), task.train, task.test, task.model)


def test_the_rows_are_the_mean_and_the_t_interval_of_the_draws(task, result):
    features, test = (file.layer("fc7") for file in (task.train, task.test))
    aps = []
    for repeat in range(task.settings.repeats):
        rows = draw(LABELS, CLASSES, 4, repeat, 3)
        logits = KINDS[task.settings.kind].train_few(features[rows], LABELS[rows], task.settings)(test)
        aps.append(average_precision(logits, TRUTH, "sklearn"))
    by_class = result.by_class("AP(sklearn)")
    for name, values in zip((*CLASSES, None), np.column_stack([aps, np.mean(aps, axis=1)]).T, strict=True):
        row = by_class[name][1]
        lo, hi = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
        assert (row.shots, row.ap) == (4, pytest.approx(values.mean(), abs=1e-9))
        assert (row.lo, row.hi) == (pytest.approx(max(lo, 0), abs=1e-9), pytest.approx(min(hi, 1), abs=1e-9))


def test_a_linear_fit_on_few_is_scikit_learns(task):
    features = np.asarray(task.train.layer("fc7"))
    rows = draw(LABELS, CLASSES, 8, 0, 0)
    learned = linear_probe.train_few(features[rows], LABELS[rows], task.settings)(task.test.layer("fc7"))
    for c in range(3):
        counted = rows[LABELS[rows, c] != 0]
        peer = LogisticRegression(C=FEW_SHOT_C, tol=1e-8, max_iter=5000)
        peer.fit(normalise(features[counted]), LABELS[counted, c])
        expected = peer.decision_function(normalise(task.test.layer("fc7")))
        np.testing.assert_allclose(learned[:, c], expected, atol=5e-3)


def test_the_end_of_the_curve_is_the_probe_on_the_whole_split(task, result):
    logits = KINDS[task.settings.kind].train(task).logits(task.test.layer("fc7"))
    for c, name in enumerate(CLASSES):
        last = result.by_class("AP(sklearn)")[name][-1]
        counted = TRUTH[:, c] != 0
        expected = average_precision_score(TRUTH[counted, c] == 1, logits[counted, c])
        assert (last.shots, last.lo, last.ap) == (None, None, pytest.approx(expected, abs=1e-9))
        assert last.positives == (LABELS[:, c] == 1).sum()
    assert result.images["all"] == 200


def test_what_was_drawn_is_told(task, result):
    assert (result.shots, result.repeats, result.seed) == ((1, 4, 16), 5, 3)
    assert (FEW_SHOT_C if task.settings.kind == "linear" else None) == result.C
    drawn = [len(draw(LABELS, CLASSES, 4, repeat, 3)) for repeat in range(5)]
    assert result.images["4"] == np.mean(drawn)
    number = (LABELS[:, 2] == 1).sum()
    told = f"where train has fewer images of a class than are asked for, all are in every draw: c2 ({number})"
    assert f"few examples: {told}" in result.gaps


def test_more_examples_are_worth_more(result):
    means = [row.ap for row in result.by_class("AP(voc2007)")[None]]
    assert means[0] < means[2]
    assert means[0] < means[-1]


def test_one_thread_and_two_give_the_same_record(task, result):
    for threads in (1, 2):
        with threadpool_limits(threads):
            assert measured(task) == result


def test_one_draw_has_no_interval_and_says_so(task):
    found = measured(replace_settings(task, repeats=1, shots=(2,)))
    assert all(row.lo is None and row.hi is None for row in found.rows)
    assert "few examples: one draw has no interval; raise probe.p.repeats" in found.gaps
    assert mean_with_interval(np.array([0.25])) == (0.25, None, None)


def test_an_interval_stays_between_nothing_and_everything():
    mean, lo, hi = mean_with_interval(np.array([0.0, 0.2, 0.0]))
    assert (lo, mean) == (0.0, pytest.approx(0.2 / 3))
    assert hi > mean


@pytest.mark.parametrize("kind", ["linear", "knn"])
@pytest.mark.parametrize(
    ("shares", "gap", "rows"),
    [
        ((), "the data set has no classes: there is nothing to draw", 0),
        ((0.0, 0.0), "no image of train shows c0, c1: there is nothing to draw", 0),
        ((1.1,), "every image of some draws shows c0: the class was not learned from these", 6),
        ((0.5, 0.0), "no image of train shows c1: there is nothing to draw", 9),
    ],
)
def test_what_cannot_be_drawn_or_learned_is_said(tmp_path, kind, shares, gap, rows):
    labels, truth = (np.where(draw_labels(30, shares, seed) > 0, 1, -1) for seed in (0, 1))
    if shares == (1.1,):
        labels[:] = 1
    settings = Probe(of="net/fc7", kind=kind, shots=(1, 2), repeats=2, C=(1.0,), folds=2)
    found = measured(put_task(tmp_path, settings, labels, truth), ("area",))
    assert f"few examples: {gap}" in found.gaps
    assert len(found.rows) == rows


def test_a_class_without_test_images_has_no_ap_and_no_part_in_the_mean(tmp_path):
    truth = TRUTH.copy()
    truth[:, 1] = -1
    settings = Probe(of="net/fc7", kind="knn", k=5, shots=(2,))
    rows = measured(put_task(tmp_path, settings, LABELS, truth)).by_class("AP(sklearn)")
    assert (rows["c1"][0].ap, rows["c1"][0].lo) == (None, None)
    assert rows[None][0].ap == pytest.approx((rows["c0"][0].ap + rows["c2"][0].ap) / 2)


def test_the_means_are_what_dvc_compares(result):
    metrics = result.metrics()
    assert list(metrics) == ["AP(sklearn)", "AP(voc2007)"]
    assert list(metrics["AP(sklearn)"]) == ["1", "4", "16", "all"]


@pytest.mark.perf
def test_five_numbers_of_five_draws_on_600_rows_of_1280_take_seconds(tmp_path):
    labels = draw_labels(600, tuple(np.linspace(0.03, 0.4, 20)))
    for kind in ("linear", "knn"):
        settings = Probe(of="net/fc7", kind=kind, shots=(1, 2, 4, 8, 16))
        (tmp_path / kind).mkdir()
        task = put_task(tmp_path / kind, settings, labels, labels, width=1280)
        start = time.process_time()  # of the processor: others may be at work beside
        few_shot(task, ("voc2007", "area"), np.zeros(labels.shape, np.float32))
        assert time.process_time() - start < 10
