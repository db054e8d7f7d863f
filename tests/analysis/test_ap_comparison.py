import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pool5.analysis.ap_comparison import compare_models
from pool5.analysis.ap_tables import ap_latex, ap_markdown
from pool5.measures import AP
from pool5.results.ap import ApResult
from pool5.results.record import load_record, save_record

CLASSES = ("cat", "dog", "emu", "fox")


def scene(seed=0, n=500):
    """Two models, the second better on cats and dogs alone; three foxes, no emu, some labels left out."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((n, 4)) < (0.3, 0.1, 0, 0), 1, -1)
    labels[:3, 3] = 1
    labels[rng.random((n, 4)) < 0.03] = 0
    labels[:3, 3] = 1
    noise = rng.normal(size=(n, 4))
    good = noise + 2.0 * (labels == 1)
    poor = noise + 0.5 * (labels == 1)
    poor[:, 3] = good[:, 3]
    return {"poor": poor, "good": good}, labels


def compare(scores, labels, protocols=("sklearn",), resamples=300, classes=CLASSES):
    measures = [AP(protocol) for protocol in protocols]
    return compare_models(
        scores, labels, classes, split="test", measures=measures, resamples=resamples, seed=0
    )


def test_map_is_the_mean_over_the_classes_that_have_an_ap():
    scores, labels = scene()
    found = compare(scores, labels)
    for model in scores:
        expected = []
        for c in (0, 1, 3):
            kept = labels[:, c] != 0
            expected.append(average_precision_score(labels[kept, c] == 1, scores[model][kept, c]))
        assert found.row(None, model, "AP(sklearn)").ap == pytest.approx(np.mean(expected))


def test_a_class_without_positives_has_no_ap_and_one_with_few_no_interval():
    found = compare(*scene())
    emu, fox = found.row("emu", "good", "AP(sklearn)"), found.row("fox", "good", "AP(sklearn)")
    assert (emu.ap, emu.lo, emu.hi) == (None, None, None)
    assert (emu.positives, emu.chance) == (0, 0)
    assert np.isfinite(fox.ap)
    assert (fox.lo, fox.hi) == (None, None)
    assert np.isfinite(
        [found.row("dog", "good", "AP(sklearn)").lo, found.row(None, "good", "AP(sklearn)").hi]
    ).all()


def test_a_mean_of_classes_without_intervals_has_none():
    """One class of one positive: its resamples say nothing, and their mean says no more."""
    scores, labels = scene()
    few = compare({model: values[:, 3:] for model, values in scores.items()}, labels[:, 3:], classes=("fox",))
    for model in scores:
        row = few.row(None, model, "AP(sklearn)")
        assert np.isfinite(row.ap)
        assert (row.lo, row.hi) == (None, None)
    assert [(d.lo, d.hi, d.sign) for d in few.differences] == 2 * [(None, None, 0)]
    assert "mAP +0.000; gain beyond noise: none" in ap_markdown(few)
    assert ap_latex(few).count("[") == 0
    # beside a class with an interval such a class does take part
    assert compare(scores, labels).row(None, "good", "AP(sklearn)").lo is not None


def test_intervals_hold_their_ap_and_stay_between_zero_and_one():
    found = compare(*scene(), protocols=("voc2007", "area", "sklearn"))
    for row in found.rows:
        if row.lo is not None:
            assert 0 <= row.lo < row.ap < row.hi <= 1


def test_paired_intervals_are_narrower_than_those_of_unrelated_models():
    scores, labels = scene()
    found = compare(scores, labels)
    difference = next(row for row in found.differences if row.class_name == "cat")
    widths = [
        found.row("cat", model, "AP(sklearn)").hi - found.row("cat", model, "AP(sklearn)").lo
        for model in scores
    ]
    assert difference.hi - difference.lo < np.hypot(*widths)
    assert (difference.model, difference.baseline) == ("good", "poor")
    assert difference.beyond_noise
    assert difference.difference == pytest.approx(
        found.row("cat", "good", "AP(sklearn)").ap - found.row("cat", "poor", "AP(sklearn)").ap
    )


def test_equal_models_do_not_differ():
    scores, labels = scene()
    found = compare({"a": scores["good"], "b": scores["good"].copy()}, labels)
    for row in found.differences:
        assert not row.beyond_noise
        if row.class_name != "emu":
            assert row.difference == 0


def test_every_pair_of_models_is_compared_the_later_with_the_earlier():
    scores, labels = scene()
    found = compare({**scores, "third": scores["poor"]}, labels)
    pairs = {(row.model, row.baseline) for row in found.differences}
    assert pairs == {("good", "poor"), ("third", "poor"), ("third", "good")}


def test_over_chance_is_zero_at_chance_and_one_for_a_perfect_ranking():
    _, labels = scene()
    found = compare({"constant": np.zeros(labels.shape), "perfect": labels.astype(float)}, labels)
    assert found.row("cat", "constant", "AP(sklearn)").over_chance == pytest.approx(0)
    assert found.row("cat", "perfect", "AP(sklearn)").over_chance == pytest.approx(1)


@pytest.mark.slow
def test_ninety_five_percent_intervals_hold_the_truth_about_that_often():
    """Over fresh test sets, for mAP (whose resamples lie too high until they are moved) and a difference."""
    rng = np.random.default_rng(1)

    def draw(n):
        labels = np.where(rng.random((n, 8)) < 0.08, 1, -1)
        scores = rng.normal(size=labels.shape) + 1.3 * (labels == 1)
        return {"a": scores + 0.7 * rng.normal(size=labels.shape), "b": scores}, labels

    def estimates(n, resamples):
        scores, labels = draw(n)
        names = [f"class {c}" for c in range(8)]
        found = compare(scores, labels, ["area"], resamples, names)
        return found.row(None, "b", "AP(area)"), next(r for r in found.differences if r.class_name is None)

    fresh = [estimates(800, 1) for _ in range(150)]
    truth = np.mean([row.ap for row, _ in fresh]), np.mean([row.difference for _, row in fresh])
    hits = np.zeros(2)
    for _ in range(120):
        ap, difference = estimates(800, 200)
        hits += [ap.lo <= truth[0] <= ap.hi, difference.lo <= truth[1] <= difference.hi]
    assert (hits / 120 > 0.88).all(), hits / 120
    assert (hits / 120 < 1).all(), hits / 120


def test_what_has_no_number_is_said(tmp_path):
    found = compare(*scene(), resamples=20)
    assert found.gaps == (
        "no image of test shows emu: there is no AP, and no part in the mean",
        "fewer than 5 images of test show fox: no interval, and no verdict on a difference",
    )
    save_record(found, tmp_path / "ap.json")
    assert load_record(ApResult, tmp_path / "ap.json") == found


@pytest.mark.parametrize(
    ("scores", "labels", "classes"),
    [
        ({}, np.empty((0, 0), np.int8), ()),
        ({"net": np.zeros((5, 2))}, np.full((5, 2), -1), ("cat", "dog")),
        ({"net": np.zeros((1, 1)), "other": np.ones((1, 1))}, np.ones((1, 1)), ("cat",)),
    ],
)
def test_no_model_no_positive_and_a_single_image_are_no_error(scores, labels, classes):
    found = compare(scores, labels, resamples=20, classes=classes)
    assert found.has_values == ("other" in scores)
    assert not any(row.beyond_noise for row in found.differences)


def test_a_class_of_the_name_of_the_mean_is_another_row():
    scores, labels = scene()
    found = compare(scores, labels, resamples=20, classes=("mAP", "dog", "emu", "fox"))
    assert found.row("mAP", "good", "AP(sklearn)").ap != found.row(None, "good", "AP(sklearn)").ap
    assert found.best_model("AP(sklearn)") == "good"
