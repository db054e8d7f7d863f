import numpy as np
import pytest

from pool5.analysis.annotated_objects import ObjectStatistics
from pool5.analysis.ap_comparison import compare_models
from pool5.analysis.hard_classes import choose_classes, examine_class, examine_classes, rank_images
from pool5.measures import AP
from pool5.results.hard import HardResult
from pool5.results.record import load_record, save_record

CLASSES = ("cat", "dog", "emu", "person")


def scene(n=400):
    """Dogs are taken for cats; large cats score higher; people are common and easy to tell by AP alone."""
    rng = np.random.default_rng(0)
    labels = np.full((n, 4), -1, np.int8)
    labels[:60, 0] = 1
    labels[60:140, 1] = 1
    labels[:3, 2] = 1
    labels[rng.random(n) < 0.6, 3] = 1
    labels[395:, 0] = 0
    size = rng.uniform(0, 1, n)
    noise = rng.normal(size=(n, 4))
    weak = noise.copy()
    strong = noise + 1.5 * (labels == 1)
    strong[:, 0] += np.where(labels[:, 0] == 1, 3 * size, 0) + 2 * (labels[:, 1] == 1)
    strong[395:, 0] = 100  # left out: must not show up anywhere
    strong[:, 3] = noise[:, 3] + 0.3 * (labels[:, 3] == 1)
    objects = ObjectStatistics((labels[:, 0] == 1).astype(int), np.where(labels[:, 0] == 1, size, np.nan))
    return {"weak": weak, "strong": strong}, labels, objects


MEASURE = "AP(area)"


def examine(result, scores, labels, objects=None, name="cat", why=("why not",)):
    column = CLASSES.index(name)
    gain = next((d for d in result.differences if d.class_name == name), None)
    ranking = rank_images(scores[:, column], labels[:, column])
    row = result.row(name, "strong", MEASURE)
    return examine_class(row, gain, why, ranking, scores, labels, CLASSES, objects)


@pytest.fixture(scope="module")
def data():
    scores, labels, objects = scene()
    measures = [AP("area")]
    result = compare_models(scores, labels, CLASSES, split="test", measures=measures, resamples=100, seed=0)
    return result, scores["strong"], labels, objects


@pytest.fixture(scope="module")
def cat(data):
    return examine(*data)


def test_the_best_model_is_the_one_with_the_highest_map(data):
    assert data[0].best_model(MEASURE) == "strong"


def test_ap_and_ap_over_chance_choose_different_classes_and_rare_ones_are_passed_over(data):
    comparison = data[0]
    chosen = choose_classes(comparison, MEASURE, "strong")
    rows = {name: comparison.row(name, "strong", MEASURE) for name in ("cat", "dog", "person")}
    assert "emu" not in chosen
    assert chosen[max(rows, key=lambda name: rows[name].ap)][0] == "highest AP"
    # people have a high AP because they are common, and the lowest once chance is taken away
    assert "lowest AP over chance" in chosen["person"]
    gains = [name for name, why in chosen.items() if any("gain over weak" in reason for reason in why)]
    assert 1 <= len(gains) <= 2
    assert "person" not in gains


def test_the_first_model_gains_nothing_over_itself(data):
    chosen = choose_classes(data[0], MEASURE, "weak")
    assert not any("gain" in reason for why in chosen.values() for reason in why)


def test_hits_misses_and_false_alarms_are_ranked_and_left_out_images_stay_out(data):
    _, scores, labels, _ = data
    cat = rank_images(scores[:, 0], labels[:, 0])
    assert cat.hits[0] == max(np.flatnonzero(labels[:, 0] == 1), key=lambda row: scores[row, 0])
    assert cat.misses[0] == min(np.flatnonzero(labels[:, 0] == 1), key=lambda row: scores[row, 0])
    assert cat.false_alarms[0] == max(np.flatnonzero(labels[:, 0] == -1), key=lambda row: scores[row, 0])
    assert not set(range(395, 400)) & {*cat.hits, *cat.misses, *cat.false_alarms}
    assert (cat.ranks[395:] == 0).all()
    assert sorted(cat.ranks[:395]) == list(range(1, 396))


def test_at_the_place_where_found_and_false_are_counted_recall_equals_precision(cat):
    assert cat.found + cat.false_alarms == cat.positives == 60
    assert 0 < cat.false_alarms < 60


def test_the_confusions_say_what_is_in_the_false_alarms_and_what_chance_would_put_there(data, cat):
    labels = data[2]
    first = cat.confusions[0]
    assert first.class_name == "dog"
    assert first.share > 0.6
    assert first.expected == pytest.approx((labels[labels[:, 0] == -1][:, 1] == 1).mean())
    assert "cat" not in [confusion.class_name for confusion in cat.confusions]


def test_a_size_that_matters_is_said_and_one_that_does_not_is_not(data, cat):
    assert cat.size.clear
    assert cat.size.correlation > 0.4
    assert sum(group.images for group in cat.size.groups) == 60
    assert sum(group.found for group in cat.size.groups) == cat.found
    assert "large is easier" in cat.text
    comparison, scores, labels, _ = data
    size = np.random.default_rng(1).uniform(0, 1, len(labels))
    chance = ObjectStatistics((labels[:, 0] == 1).astype(int), size)
    other = examine(comparison, scores, labels, chance)
    assert "No clear influence of how large" in other.text


def test_without_boxes_nothing_is_said_about_size(data):
    comparison, scores, labels, _ = data
    item = examine(comparison, scores, labels)
    assert item.size is None
    assert item.number is None
    assert "large" not in item.text


def test_a_constant_score_finds_nothing(data):
    comparison, _, labels, _ = data
    item = examine(comparison, np.zeros(labels.shape), labels)
    assert (item.found, item.false_alarms) == (0, 0)


def test_the_text_is_made_of_the_numbers(data, cat):
    text = cat.text
    row = data[0].row("cat", "strong", MEASURE)
    assert f"strong reaches AP {row.ap:.3f} [{row.lo:.3f}, {row.hi:.3f}] (area)" in text
    assert f"Found, that is among the first 60: {cat.found}" in text
    assert "Over weak it gains" in text
    assert "dog is in" in text
    assert "\n" not in text


def test_all_chosen_classes_are_examined_and_kept_in_one_record(tmp_path, data):
    result, scores, labels, objects = data
    examined = examine_classes(result, MEASURE, "strong", scores, labels, {"cat": objects})
    assert [item.class_name for item, _ in examined] == list(choose_classes(result, MEASURE, "strong"))
    record = HardResult(split="test", classes=tuple(item for item, _ in examined))
    save_record(record, tmp_path / "hard.json")
    assert load_record(HardResult, tmp_path / "hard.json") == record


def test_two_names_that_no_file_could_tell_apart_have_two_sheets():
    rng = np.random.default_rng(0)
    labels = rng.choice([-1, 1], (60, 2))
    scores = {"net": rng.normal(size=(60, 2)) + labels * (0.2, 2)}
    result = compare_models(
        scores, labels, ("a/b", "a:b"), split="t", measures=[AP("area")], resamples=9, seed=0
    )
    sheets = [item.sheet for item, _ in examine_classes(result, MEASURE, "net", scores["net"], labels, {})]
    assert sorted(sheets) == ["01-a_b.png", "02-a_b.png"]
