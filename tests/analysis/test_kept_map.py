"""A map that keeps its points, and a sample that lasts."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from pool5.analysis.maps.kept_map import EarlierMap, is_of, keep_points, lasting_sample, save_rows
from pool5.results.tsne_map import TsneResult
from pool5.search.kept_rows import row_digests

COUNT = 40


def drawn(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)


def named(count: int, start: int = 0) -> np.ndarray:
    return np.array([f"{number:03}" for number in range(start, start + count)])


def earlier(features: np.ndarray, ids: np.ndarray, points: np.ndarray, **also) -> EarlierMap:
    points = tuple(map(tuple, np.round(points.astype(float), 5).tolist()))
    result = TsneResult(
        layer="net/fc7", split="test", images=len(ids), perplexity=5, seed=0,
        ids=tuple(ids.tolist()), points=points, **also,
    )  # fmt: skip
    return EarlierMap(result, [row.tobytes().hex() for row in row_digests(features)])


FEATURES, IDS = drawn(COUNT), named(COUNT)
MADE = earlier(FEATURES, IDS, drawn(COUNT, 1)[:, :2] * 10)


def test_the_old_points_stay_to_the_bit_and_the_new_ones_are_placed():
    ids, features = np.append(IDS[1:], named(3, 900)), np.vstack([FEATURES[1:], drawn(3, 2)])
    points, told = keep_points(MADE, ids, features)
    assert points[:-3].tolist() == [list(point) for point in MADE.result.points[1:]]
    assert (told.images, told.gone, told.placed) == (COUNT, 1, ("900", "901", "902"))
    again, _ = keep_points(MADE, ids, features)
    assert again.tobytes() == points.tobytes()


def test_a_renamed_image_stays_and_a_replaced_one_is_placed():
    ids, features = IDS.copy(), FEATURES.copy()
    ids[7], features[20] = "renamed", drawn(1, 3)[0]
    points, told = keep_points(MADE, ids, features)
    assert points[7].tolist() == list(MADE.result.points[7])
    assert told.placed == ("020",)


def test_placed_images_stay_too_but_place_no_other():
    ids, features = np.append(IDS, "900"), np.vstack([FEATURES, drawn(1, 2)])
    points, told = keep_points(MADE, ids, features)
    second = earlier(features, ids, points, kept=told)
    more_ids, more = np.append(ids, "901"), np.vstack([features, features[-1:] + np.float32(1e-3)])
    then, told_then = keep_points(second, more_ids, more)
    assert then[:-1].tolist() == points.tolist()
    assert told_then == replace(told, placed=("900", "901"))
    alone, _ = keep_points(MADE, np.append(IDS, "901"), np.vstack([FEATURES, more[-1:]]))
    np.testing.assert_array_equal(then[-1], alone[-1])


@pytest.mark.parametrize(
    ("ids", "features", "why"),
    [
        (named(60), np.vstack([FEATURES, drawn(20, 2)]), "20 of 60 images are none that it was made of"),
        (IDS[:30], FEATURES[:30], "10 of the 40 images that it was made of are gone"),
    ],
)  # fmt: skip
def test_where_too_much_is_new_or_gone_it_is_said_why_the_map_is_not_kept(ids, features, why):
    assert keep_points(MADE, ids, features) == why


def test_a_lasting_sample_changes_by_no_more_images_than_the_data_set_does():
    digests = np.random.default_rng(0).integers(0, 256, (500, 16), np.uint8)
    first = lasting_sample(digests, 100, seed=3)
    assert len(first) == 100
    assert (np.diff(first) > 0).all()
    assert (lasting_sample(digests, 100, seed=4) != first).any()
    fewer = np.delete(digests, [10, 200], axis=0)
    chosen = {row.tobytes() for row in digests[first]}
    then = {row.tobytes() for row in fewer[lasting_sample(fewer, 100, seed=3)]}
    assert len(chosen - then) <= 2
    np.testing.assert_array_equal(lasting_sample(digests[:7], 100, seed=3), np.arange(7))
    assert len(lasting_sample(digests[:0], 100, seed=3)) == 0


def test_what_a_map_is_of_is_kept_beside_it(tmp_path):
    save_rows(FEATURES, {"of": "net/fc7 test", "seed": 0}, tmp_path / "rows.json")
    assert is_of(tmp_path / "rows.json", {"of": "net/fc7 test", "seed": 0})
    assert not is_of(tmp_path / "rows.json", {"of": "net/fc7 test", "seed": 1})
    assert not is_of(tmp_path / "none.json", {})
    (tmp_path / "rows.json").write_text("[1]")
    assert not is_of(tmp_path / "rows.json", {})
