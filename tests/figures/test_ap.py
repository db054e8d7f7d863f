import numpy as np
import pytest
from PIL import Image

from pool5.analysis.ap_comparison import compare_models
from pool5.figures.ap import draw_ap, draw_differences
from pool5.measures import AP

CLASSES = ("cat", "dining_table", "emu", "$fox$")


def comparison(models):
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((200, 4)) < (0.3, 0.1, 0, 0.01), 1, -1)
    scores = {name: rng.normal(size=(200, 4)) + i * (labels == 1) for i, name in enumerate(models)}
    measures = [AP("area")]
    return compare_models(scores, labels, CLASSES, split="test", measures=measures, resamples=50, seed=0)


@pytest.mark.parametrize("draw", [draw_ap, draw_differences])
def test_a_figure_names_classes_and_models_and_has_the_same_bytes_again(tmp_path, draw):
    found = comparison(["scratch", "frozen", "tuned"])
    for stem in ("a", "b"):
        draw(found, "AP(area)", tmp_path / stem)
    for suffix in (".png", ".svg"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    svg = (tmp_path / "a.svg").read_text()
    for text in ("dining_table (", "$fox$ (", "frozen", "tuned", "no AP: emu", "mAP", "(area)"):
        assert text in svg
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == 1080


def test_a_figure_grows_with_its_models(tmp_path):
    heights = []
    for count in (1, 6):
        draw_ap(comparison([f"m{i}" for i in range(count)]), "AP(area)", tmp_path / str(count))
        with Image.open(tmp_path / f"{count}.png") as image:
            heights.append(image.height)
    assert heights[1] > 1.5 * heights[0]


def test_one_model_alone_has_differences_from_nothing(tmp_path):
    draw_differences(comparison(["only"]), "AP(area)", tmp_path / "d")
    assert "nothing to compare" in (tmp_path / "d.svg").read_text()


@pytest.mark.parametrize("draw", [draw_ap, draw_differences])
def test_of_a_thousand_classes_the_ends_are_shown_and_it_says_so(tmp_path, draw):
    rng = np.random.default_rng(0)
    names = [f"class {number}" for number in range(1000)]
    labels = np.where(np.arange(300)[:, None] % 995 == np.arange(1000) % 295, 1, -1)
    labels[:, 995:] = -1
    scores = {model: rng.normal(size=labels.shape) for model in ("a", "b")}
    found = compare_models(scores, labels, names, split="test", measures=[AP("area")], resamples=2, seed=0)
    draw(found, "AP(area)", tmp_path / "f")
    with Image.open(tmp_path / "f.png") as image:
        assert image.height < 4000
    svg = (tmp_path / "f.svg").read_text()
    assert "the 20 classes at the top and the 20 at the bottom of 995" in svg
    assert "class 999" in svg  # has no AP
    assert len([gap for gap in found.gaps if len(gap) > 600]) == 0


def test_a_name_of_300_letters_leaves_room_for_the_values(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((50, 2)) < 0.4, 1, -1)
    names = ["n" * 300, "m" * 299 + "z"]
    scores = {"net": rng.normal(size=(50, 2))}
    found = compare_models(scores, labels, names, split="test", measures=[AP("area")], resamples=20, seed=0)
    draw_ap(found, "AP(area)", tmp_path / "f")
    ink = np.asarray(Image.open(tmp_path / "f.png").convert("L")) < 200
    columns = np.flatnonzero(ink.any(axis=0))
    assert columns[0] > 3
    assert columns[-1] < ink.shape[1] - 3
    assert ink[:, 400:].any(axis=0).mean() > 0.5
