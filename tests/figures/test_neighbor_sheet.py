from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from PIL import Image

from pool5.figures.canvas import save_figure
from pool5.figures.neighbor_sheet import neighbor_sheet
from pool5.images.address import Address
from pool5.results.retrieval import Near, ShownQuery


def test_a_sheet_keeps_its_title_and_names_each_query(tmp_path: Path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    images = dict.fromkeys(["x/a#1", "b"], Address(str(tmp_path / "a.png"), crop=(0, 0, 10, 20)))
    near = Near(rank=1, id="b", distance=0.25, labels=("cat",))
    query = ShownQuery(id="x/a#1", labels=("cat",), drawn_for="cat", neighbors={"net/fc": (near,)})
    save_figure(neighbor_sheet([query], ["net/fc"], images, "cosine", title="Near these"), tmp_path / "sheet")
    words = [
        "".join(text.itertext())
        for text in ElementTree.parse(tmp_path / "sheet.svg").iter("{http://www.w3.org/2000/svg}text")
    ]
    assert words[0] == "Near these"
    assert "x/a#1" in words
    assert "1  b" in words
