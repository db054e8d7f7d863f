import numpy as np
from PIL import Image

from pool5.analysis.annotated_objects import ObjectStatistics
from pool5.analysis.ap_comparison import compare_models
from pool5.analysis.hard_classes import examine_class, rank_images
from pool5.figures.hard_classes import draw_class_sheet
from pool5.images.address import Address
from pool5.measures import AP


def test_a_sheet_shows_hits_misses_and_false_alarms_with_scores(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((30, 2)) < 0.4, 1, -1)
    scores = rng.normal(size=(30, 2)) + labels
    images = [tmp_path / f"{row}.png" for row in range(30)]
    for row, path in enumerate(images):
        Image.new("RGB", (40, 30), (8 * row, 90, 120)).save(path)
    result = compare_models(
        {"net": scores}, labels, ["cat", "dog"], split="test", measures=[AP("area")], resamples=20, seed=0
    )
    row, ranking = result.row("cat", "net", "AP(area)"), rank_images(scores[:, 0], labels[:, 0])
    item = examine_class(row, None, ["highest AP"], ranking, scores, labels, ["cat", "dog"])
    objects = ObjectStatistics((labels[:, 0] == 1).astype(int), np.where(labels[:, 0] == 1, 0.004, np.nan))
    for stem in ("a", "b"):
        draw_class_sheet(
            item,
            ranking,
            tmp_path / stem,
            images=[Address(str(path)) for path in images],
            ids=np.array([f"id{row:02}" for row in range(30)]),
            scores=scores,
            labels=labels,
            classes=["cat", "dog"],
            objects=objects,
        )
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    svg = (tmp_path / "a.svg").read_text()
    for text in (
        "best hits",
        "worst misses",
        "cat: highest AP (net)",
        "largest: &lt;1 % of the picture",
        "shows no cat",
    ):
        assert text in svg
    best = ranking.hits[0]
    assert f"id{best:02}" in svg
    assert f"{scores[best, 0]:+.2f}, place 1" in svg
