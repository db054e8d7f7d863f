"""How good the list of doubted labels is: 5 % of the labels of real photographs are turned."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.label_issues import doubt, held_out_probabilities, photographs, recall, recall_of_images, turn

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def photos(shared):
    return photographs(shared)


def judged(photos, how, seed):
    features, labels = photos
    turned = turn(labels, how, seed)
    given = np.where(turned, -labels, labels).astype(np.int8)
    shown = held_out_probabilities(features, given)
    # the order in which cleanlab ranks labels: 1 - get_label_quality_scores_per_class
    theirs = np.where(given == 1, 1 - shown, shown)
    return doubt(shown, given), theirs, turned, given


@pytest.mark.parametrize(("how", "least"), [("of all", 0.78), ("of present", 0.45)])
def test_the_list_finds_what_was_turned_and_at_least_as_much_as_self_confidence(photos, how, least):
    found, theirs = [], []
    for seed in range(4):
        doubts, peers, turned, given = judged(photos, how, seed)
        for each, of in ((found, doubts), (theirs, peers)):
            each.append([recall(of, turned, given), recall_of_images(of, turned, given)])
    assert np.min(found, axis=0)[0] >= least
    assert (np.mean(found, axis=0) >= np.mean(theirs, axis=0)).all()
    assert (np.array(found) >= np.array(theirs) - 0.01).all()


@pytest.mark.parametrize("how", ["of all", "of present"])
def test_of_the_labels_in_doubt_at_least_so_many_were_turned_as_the_probabilities_say(photos, how):
    ours, _, turned, given = judged(photos, how, 0)
    listed = (given != 0) & (ours >= 0.2)
    assert turned[listed].sum() >= 0.8 * ours[listed].sum()
    assert turned[listed].mean() > 20 * turned.mean() * (how == "of present") + 0.3
