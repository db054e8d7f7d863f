from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from PIL import Image

from pool5.figures.duplicates import draw_duplicates, draw_groups
from pool5.images.address import Address
from pool5.results.duplicates import DuplicateGroup, DuplicatesResult, GroupedImage, PairCount


def test_small_groups_stand_side_by_side_and_tell_how_unlike_their_images_are(tmp_path: Path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    pairs = [
        DuplicateGroup(
            images=(GroupedImage("train", f"{n}a", 2), GroupedImage("test", f"{n}b", 1)),
            least_similarity=0.5 + n / 100,
        )
        for n in range(5)
    ]
    names = [f"{n}{x}" for n in range(5) for x in "ab"]
    images = dict.fromkeys(("train", "test"), dict.fromkeys(names, Address(str(tmp_path / "a.png"))))
    draw_groups(DuplicatesResult(layer="a/b", threshold=0.5, groups=tuple(pairs)), images, tmp_path / "sheet")
    texts = list(ElementTree.parse(tmp_path / "sheet.svg").iter("{http://www.w3.org/2000/svg}text"))
    words = ["".join(text.itertext()) for text in texts]
    assert words[0] == "10 images in 5 groups of near-duplicates"
    assert words.count("train, kept of 2") == 5
    assert "least similarity 0.5400" in words
    height = {
        word: text.get("y") or text.get("transform", "") for word, text in zip(words, texts, strict=True)
    }
    heights = [height[f"{n}a"].split()[-1] for n in range(5)]
    assert heights[0] == heights[3] != heights[4]


def test_the_title_counts_the_pairs_that_are_not_listed_too(tmp_path: Path):
    counts = (PairCount("train", "train", 7, 0), PairCount("train", "test", 200_000, 3))
    result = DuplicatesResult(layer="a/b", threshold=0.9, counts=counts)
    draw_duplicates(result, {}, tmp_path / "sheet")
    drawn = (tmp_path / "sheet.svg").read_text()
    assert "200007 pairs with a cosine similarity of at least 0.9" in drawn
    assert "200000 between the splits and 7 within one" in drawn
