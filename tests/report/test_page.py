"""The page as a file: whole in itself, the same bytes again, and made of what is there."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from pool5.errors import UserError
from pool5.report.page import write_report


def digests(run) -> list[str]:
    files = [run.reports / "index.html", run.reports / "map.parquet"]
    return [hashlib.md5(path.read_bytes()).hexdigest() for path in files]


@pytest.fixture(scope="module")
def html(run) -> str:
    write_report(run.params, run.data, run.reports)
    return (run.reports / "index.html").read_text()


@pytest.fixture
def copy(run, tmp_path):
    """The run in a folder of its own, free to be changed."""
    shutil.copytree(run.folder, tmp_path / "run", dirs_exist_ok=True)
    return dataclasses.replace(run, folder=tmp_path / "run")


def data_of(html: str) -> dict:
    return json.loads(html.partition('id="map-data">')[2].partition("</script>")[0])


def test_no_address_on_it_leads_out(html):
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", html)
    for address in re.findall(r"""(?:src|href|srcset|data|action|poster)\s*=\s*["']([^"']*)""", html):
        assert address.startswith(("#", "data:"))


def test_the_same_files_give_the_same_bytes(run, html):
    before = digests(run)
    write_report(run.params, run.data, run.reports)
    assert digests(run) == before


def test_where_the_run_lies_is_not_on_it(run, html, copy):
    before = digests(run)
    write_report(run.params, copy.data, copy.reports)
    assert digests(copy) == before
    assert str(run.folder) not in html


def test_the_neighbors_are_the_nearest_of_the_whole_split(run, html):
    data = data_of(html)
    assert data["searched"] == len(run.ids)
    for near in data["neighborhoods"]:
        vectors = run.features[near["name"]].astype(np.float64)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        distances = 1 - unit @ unit.T
        np.fill_diagonal(distances, np.inf)
        rows = [run.ids.index(image) for image in data["images"]["ids"]]
        for number, row in enumerate(rows):
            expected = np.sort(distances[row])[:6]
            np.testing.assert_allclose(near["distances"][number], expected, rtol=1e-3)
            assert near["images"][number] != number


def test_every_thumbnail_is_cut_from_its_place(run, html):
    data = data_of(html)
    sprites = data["sprites"]
    sheets = [
        Image.open(io.BytesIO(base64.b64decode(sheet)))
        for sheet in re.findall(r'id="sprite-\d+">([^<]*)<', html)
    ]
    for number, image in enumerate(data["images"]["ids"]):
        photo = Image.open(run.folder / f"photos/images/{image}.jpg")
        width, height = sprites["sizes"][number]
        assert width / height == pytest.approx(photo.width / photo.height, rel=0.05)
        within = number % sprites["perSheet"]
        top, left = (place * sprites["cell"] for place in divmod(within, sprites["perRow"]))
        drawn = sheets[number // sprites["perSheet"]].crop((left, top, left + width, top + height))
        difference = np.abs(np.asarray(photo.resize(drawn.size), float) - np.asarray(drawn, float)).mean()
        assert difference < 25


def test_what_a_name_holds_cannot_become_markup(copy):
    card = copy.data / "models/caffenet/model.json"
    card.write_text(card.read_text().replace("random weights", "<script>alert(1)</script></script>"))
    write_report(copy.params, copy.data, copy.reports)
    html = (copy.reports / "index.html").read_text()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert "&lt;where&gt;" in html


def test_a_class_without_positives_has_no_precision(html):
    table = html.partition('id="precision-0"')[2]
    row = table.partition('<th scope="row">aeroplane</th>')[2].partition("</tr>")[0]
    assert row.count("no AP") == 2


def test_a_run_without_maps_and_tables_tells_what_was_run(bare_run):
    write_report(bare_run.params, bare_run.data, bare_run.reports)
    html = (bare_run.reports / "index.html").read_text()
    assert re.findall(r'<section id="(\w+)"', html) == ["run"]
    assert "map-data" not in html


@pytest.mark.parametrize(
    ("missing", "anchor"),
    [
        ("reports/tsne", "map"),
        ("reports/ap/differences.csv", "differences"),
        ("reports/hard", "hard"),
        ("reports/duplicates", "duplicates"),
        ("reports/training", "training"),
        ("reports/metrics/search", "search"),
        ("reports/neighbors", "neighbors"),
    ],
)
def test_a_part_that_is_not_there_is_left_out(copy, missing, anchor):
    path = copy.folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_report(copy.params, copy.data, copy.reports)
    anchors = re.findall(r'<section id="(\w+)"', (copy.reports / "index.html").read_text())
    assert anchor not in anchors
    assert len(anchors) == 8


def test_a_map_of_other_images_is_one_clear_error(copy):
    path = copy.reports / "tsne/caffenet/pool5/map.csv"
    path.write_text(path.read_text().replace(copy.on_map[3], "999999"))
    with pytest.raises(UserError, match=r"map\.csv: image 999999 is not in the test split"):
        write_report(copy.params, copy.data, copy.reports)


def test_features_that_are_not_there_are_one_clear_error(copy):
    (copy.data / "features/caffenet/test.h5").unlink()
    with pytest.raises(UserError, match=r"caffenet/test\.h5: no such feature file"):
        write_report(copy.params, copy.data, copy.reports)
