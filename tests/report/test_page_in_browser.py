"""The page in headless Chromium, opened from disk: what it promises, done as a reader does it."""

from __future__ import annotations

import base64
import dataclasses
import functools
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pool5.report.page import write_report
from pool5.store.extraction_cost import keep_cost
from pool5.store.feature_file import FeatureFile

from .conftest import CLASSES, cosine_distances
from .test_cost import COST

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]  # one worker, one browser
ARTEFACTS = Path(__file__).parents[1] / "artefacts"


class Reader:
    """Somebody with the page open; keeps what the browser complains of and asks for."""

    def __init__(self, browser, run, **context) -> None:
        self.run = run
        self.context = browser.new_context(offline=True, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(run.page.as_uri())
        self.settle()

    def settle(self) -> None:
        """Wait until the map has stopped moving and every thumbnail in view is drawn."""
        self.page.wait_for_function(
            """() => {
              const { plot } = document.getElementById("map-stage");
              return plot.moved === 1 && !plot.pending
                && [...document.querySelectorAll("canvas[role=img]")].every((c) => c.dataset.drawn);
            }"""
        )

    def plot(self, expression: str, argument=None):
        """What the plot answers; `plot` is its name in `expression`, `a` that of the argument."""
        script = f"(a) => {{ const {{ plot }} = document.getElementById('map-stage'); return {expression}; }}"
        return self.page.evaluate(script, argument)

    def points_of(self, images: list[str]) -> list[tuple[float, float]]:
        """Where on the screen the points of some images are."""
        self.page.locator("#map-stage").scroll_into_view_if_needed()
        places = self.plot("a.map((n) => plot.screen(plot.number.get(n)))", [self.number(i) for i in images])
        box = self.page.locator("#map-stage").bounding_box()
        return [(box["x"] + 1 + x, box["y"] + 1 + y) for x, y in places]

    def point_of(self, image: str) -> tuple[float, float]:
        return self.points_of([image])[0]

    def number(self, image: str) -> int:
        """An image's number on the page."""
        return self.numbers[image]

    @functools.cached_property
    def numbers(self) -> dict[str, int]:
        data = json.loads(self.page.locator("#map-data").text_content())
        return {image: number for number, image in enumerate(data["images"]["ids"])}

    @property
    def card(self) -> str:
        return self.page.locator("#map-card").inner_text()

    @property
    def spoken(self) -> str:
        return self.page.locator("#map-live").text_content()

    def column(self, table, number: int) -> list[str]:
        cells = table.locator("tbody tr").all()
        return [row.locator("th, td").nth(number).inner_text().split("\n")[0] for row in cells]


@pytest.fixture(scope="module")
def written(run):
    write_report(run.params, run.project)
    return run


@pytest.fixture
def reader(browser, written) -> Iterator[Reader]:
    reader = Reader(browser, written, viewport={"width": 1280, "height": 900})
    yield reader
    assert reader.complaints == []
    assert {url.split(":")[0] for url in reader.requests} <= {"file", "data"}
    files = [url.rpartition("/")[2] for url in reader.requests if url.startswith("file:")]
    assert files == ["index.html", "cost.js"]
    reader.context.close()


@pytest.fixture
def apart(written) -> str:
    """The id of an image on the first map that stands well apart from the others."""
    places = written.places["caffenet/pool5"]
    on_map = [written.ids.index(row) for row in written.on_map]
    gaps = np.linalg.norm(places[on_map][:, None] - places[on_map][None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    return written.ids[on_map[int(gaps.min(axis=1).argmax())]]


def labels_of(run, image: str) -> set[str]:
    return set(np.array(CLASSES)[run.labels[run.ids.index(image)] == 1])


def brute_force(run, name: str, image: str, k: int) -> list[str]:
    """The nearest images by all cosines."""
    distances = cosine_distances(run.features[name])[run.ids.index(image)]
    return [run.ids[row] for row in np.argsort(distances)[:k]]


def test_it_opens_from_disk_without_complaint_or_request(reader):
    assert reader.page.title() == "little · Pool5"
    assert reader.page.locator("main h2").count() >= 7


def test_pointing_at_a_dot_shows_its_image_and_labels(reader, apart):
    reader.page.mouse.move(*reader.point_of(apart))
    reader.settle()
    assert apart in reader.card
    assert labels_of(reader.run, apart) <= set(reader.card.split("\n"))
    width = reader.page.locator("#map-card canvas").evaluate("c => c.width")
    assert width > 40
    reader.page.mouse.move(5, 5)
    assert not reader.page.locator("#map-card").is_visible()


def test_the_thumbnail_is_that_of_the_image(reader, apart):
    reader.page.mouse.move(*reader.point_of(apart))
    reader.settle()
    uri = reader.page.locator("#map-card canvas").evaluate("c => c.toDataURL()")
    shown = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")

    def difference(image: str) -> float:
        photo = Image.open(reader.run.folder / f"photos/images/{image}.jpg").resize(shown.size)
        return float(np.abs(np.asarray(photo, float) - np.asarray(shown, float)).mean())

    others = [i for i in reader.run.ids if labels_of(reader.run, i) != labels_of(reader.run, apart)]
    assert difference(apart) < min(map(difference, others))


def test_choosing_a_dot_lists_its_nearest_images_in_every_representation(reader, apart):
    reader.page.mouse.click(*reader.point_of(apart))
    reader.settle()
    columns = reader.page.locator("[data-representation]")
    assert columns.count() == 2
    for column in columns.all():
        name = column.get_attribute("data-representation")
        tiles = column.locator(".tile").all()
        named = [tile.get_attribute("aria-label").split(":")[0] for tile in tiles]
        assert named == brute_force(reader.run, name, apart, 6)
        for tile, image in zip(tiles, named, strict=True):
            shares = bool(labels_of(reader.run, image) & labels_of(reader.run, apart))
            assert ("✓" if shares else "✗") in tile.inner_text()


def test_choosing_a_neighbor_goes_on_to_its_neighbors(reader, apart):
    reader.page.mouse.click(*reader.point_of(apart))
    tile = reader.page.locator(".tile").first
    image = tile.get_attribute("aria-label").split(":")[0]
    tile.click()
    reader.settle()
    assert image in reader.page.locator("#map-neighbors h3").inner_text()


def test_a_class_filters_the_map(reader):
    cats = [image for image in reader.run.on_map if "cat" in labels_of(reader.run, image)]
    reader.page.locator(".chip", has_text="cat").click()
    assert int(reader.page.locator("#map-stage").get_attribute("data-visible")) == len(cats)
    other = next(image for image in reader.run.on_map if image not in cats)
    assert reader.plot("plot.visible(a)", reader.number(other)) is False
    reader.page.locator("#map-all").click()
    assert int(reader.page.locator("#map-stage").get_attribute("data-visible")) == len(reader.run.on_map)


def test_the_lasso_selects_and_lists_what_it_surrounds(reader):
    reader.page.locator("#map-lasso").click()
    reader.page.locator("#map-stage").scroll_into_view_if_needed()
    box = reader.page.locator("#map-stage").bounding_box()
    left, top, width, height = box["x"], box["y"], box["width"], box["height"]
    middle = left + width / 2
    places = reader.points_of(reader.run.on_map)
    inside = [image for image, (x, _) in zip(reader.run.on_map, places, strict=True) if x < middle]
    reader.page.mouse.move(left + 2, top + 2)
    reader.page.mouse.down()
    for x, y in ((middle, top + 2), (middle, top + height - 2), (left + 2, top + height - 2)):
        reader.page.mouse.move(x, y, steps=4)
    reader.page.mouse.up()
    reader.settle()
    panel = reader.page.locator("#map-selection")
    assert f"{len(inside)} images selected" in panel.inner_text()
    assert sorted(panel.locator("textarea").input_value().split("\n")) == sorted(inside)
    assert panel.locator(".tile").count() == len(inside)


def test_the_pointer_pans_and_the_wheel_zooms_once_the_map_is_in_focus(reader):
    stage = reader.page.locator("#map-stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    reader.page.mouse.move(box["x"] + 200, box["y"] + 200)
    reader.page.mouse.wheel(0, -10)
    reader.page.locator("#map-hint").wait_for(state="visible")
    assert reader.plot("plot.view.zoom") == 1
    stage.click(position={"x": 6, "y": 6})
    box = stage.bounding_box()
    reader.page.mouse.move(box["x"] + 200, box["y"] + 200)
    reader.page.mouse.wheel(0, -300)
    reader.page.wait_for_function("() => document.getElementById('map-stage').plot.view.zoom > 1.2")
    before = reader.plot("plot.view.x")
    reader.page.mouse.down()
    reader.page.mouse.move(box["x"] + 260, box["y"] + 200, steps=4)
    reader.page.mouse.up()
    assert reader.plot("plot.view.x") < before
    reader.page.locator("#map-reset").click()
    assert reader.plot("[plot.view.zoom, plot.view.x, plot.view.y]") == [1, 0.5, 0.5]


def test_another_layer_moves_the_points(reader, apart):
    before = reader.point_of(apart)
    reader.page.get_by_role("radio", name="resnet18/fc7").click()
    reader.settle()
    assert "resnet18/fc7" in reader.page.locator("#map-stage").get_attribute("aria-label")
    assert np.abs(np.subtract(reader.point_of(apart), before)).max() > 2
    x, y = reader.run.places["resnet18/fc7"][[reader.run.ids.index(i) for i in reader.run.on_map]].T
    numbers = [reader.number(i) for i in reader.run.on_map]
    drawn = np.array(reader.plot("a.map((n) => plot.screen(plot.number.get(n)))", numbers))
    assert np.corrcoef(drawn[:, 0], x)[0, 1] > 0.9999
    assert np.corrcoef(drawn[:, 1], -y)[0, 1] > 0.9999


def test_the_keyboard_alone_reaches_neighbors_and_selection(reader):
    page = reader.page
    page.locator("#map-images").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "map-stage"
    outline = page.locator("#map-stage").evaluate("e => getComputedStyle(e).outlineStyle")
    assert outline != "none"
    page.keyboard.press("ArrowRight")
    first = reader.spoken.split(":")[0]
    assert first in reader.run.on_map
    page.keyboard.press("ArrowRight")
    second = reader.spoken.split(":")[0]
    assert reader.point_of(second)[0] > reader.point_of(first)[0]
    page.keyboard.press("Space")
    assert "1 image selected" in page.locator("#map-selection").inner_text()
    page.keyboard.press("Enter")
    reader.settle()
    assert second in page.locator("#map-neighbors h3").inner_text()
    page.keyboard.press("+")
    assert reader.plot("plot.view.zoom") > 1
    page.keyboard.press("Escape")
    assert not page.locator("#map-neighbors").is_visible()
    assert not page.locator("#map-selection").is_visible()


def test_a_heading_sorts_the_precision_table_both_ways(reader):
    table = reader.page.locator("#precision-0 table")
    heading = table.locator("th button", has_text="caffenet")
    heading.click()
    values = reader.column(table, 3)
    assert values[-1] == "no AP"
    numbers = [float(value) for value in values[:-1]]
    assert numbers == sorted(numbers, reverse=True)
    heading.click()
    values = reader.column(table, 3)
    assert values[-1] == "no AP"
    assert [float(value) for value in values[:-1]] == sorted(numbers)
    assert table.locator("th[aria-sort=ascending]").count() == 1
    assert table.locator("tfoot th").inner_text() == "mAP"
    table.locator("th button", has_text="class").click()
    assert reader.column(table, 0) == sorted(reader.column(table, 0))


def test_one_protocol_is_shown_at_a_time(reader):
    assert reader.page.locator("#precision-0").is_visible()
    assert not reader.page.locator("#precision-1").is_visible()
    reader.page.locator("[data-switches=precision] button", has_text="area").click()
    assert not reader.page.locator("#precision-0").is_visible()
    assert reader.page.locator("#precision-1").is_visible()


def test_cost_is_drawn_against_accuracy_with_the_speeds_beside_the_page(browser, run, tmp_path):
    copy = dataclasses.replace(run, folder=tmp_path)
    shutil.copytree(run.folder, tmp_path, dirs_exist_ok=True)
    file = FeatureFile.open(copy.project.features("resnet18", "test"))
    keep_cost(COST, map(file.feature_key, file.layers), copy.project)
    write_report(copy.params, copy.project)
    for there in (True, False):
        reader = Reader(browser, copy, viewport={"width": 390, "height": 844})
        cost = reader.page.locator("#cost")
        rates = cost.locator("td[data-cost=network_rate]").all_inner_texts()
        assert rates == (["–", "600"] if there else ["–", "–"])
        assert cost.locator("#cost-missing").is_visible() != there
        assert ("caffenet" in cost.locator("#cost-unknown").inner_text()) == there
        kinds = cost.locator("#cost-kinds button")
        assert [kind.is_enabled() for kind in kinds.all()] == [there, there, True]
        kinds.last.click()
        told = cost.get_by_role("img").get_attribute("aria-label")
        assert "against gigabytes" in told
        assert "0.024" in told
        assert cost.locator("circle").count() == 2
        assert cost.locator("g.best circle").count() >= 1
        cost.get_by_role("button", name="AP(area)", exact=True).click()
        assert "AP(area)" in cost.get_by_role("img").get_attribute("aria-label")
        assert reader.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # of a missing script a browser complains by itself
        assert [line for line in reader.complaints if "FILE_NOT_FOUND" not in line] == []
        reader.context.close()
        copy.project.report("cost.js").unlink(missing_ok=True)


def test_images_take_the_place_of_points_where_asked(reader):
    blank = reader.plot("plot.base.toDataURL()")
    reader.page.locator("#map-images").check()
    reader.page.wait_for_function(
        "before => document.getElementById('map-stage').plot.base.toDataURL() !== before", arg=blank
    )


@pytest.mark.parametrize(
    ("name", "width", "height", "scheme"),
    [
        ("desktop", 1440, 900, "light"),
        ("desktop-dark", 1440, 900, "dark"),
        ("tablet", 820, 1100, "light"),
        ("phone", 390, 844, "light"),
        ("phone-dark", 390, 844, "dark"),
    ],
)
def test_nothing_sticks_out_at_any_size(browser, written, apart, name, width, height, scheme):
    reader = Reader(browser, written, viewport={"width": width, "height": height}, color_scheme=scheme)
    assert reader.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    reader.page.mouse.click(*reader.point_of(apart))
    reader.settle()
    assert reader.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = reader.page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = np.mean([int(part) for part in background[4:-1].split(",")])
    assert (lightness < 60) == (scheme == "dark")
    if name in ("desktop", "phone-dark"):
        ARTEFACTS.mkdir(exist_ok=True)
        reader.page.screenshot(path=ARTEFACTS / f"report-{name}.png", full_page=True)
    assert reader.complaints == []
    reader.context.close()


def test_a_finger_chooses_and_two_zoom(browser, written, apart):
    reader = Reader(browser, written, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    reader.page.touchscreen.tap(*reader.point_of(apart))
    reader.settle()
    assert apart in reader.page.locator("#map-neighbors h3").inner_text()
    session = reader.context.new_cdp_session(reader.page)
    reader.page.locator("#map-stage").scroll_into_view_if_needed()
    box = reader.page.locator("#map-stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, gap in (("touchStart", 20), ("touchMove", 40), ("touchMove", 80), ("touchEnd", None)):
        points = [] if gap is None else [{"x": x - gap, "y": y, "id": 0}, {"x": x + gap, "y": y, "id": 1}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert reader.plot("plot.view.zoom") > 1.5
    reader.context.close()


def test_images_without_labels_have_neighbors_and_no_classes(browser, unlabelled_run):
    write_report(unlabelled_run.params, unlabelled_run.project)
    reader = Reader(browser, unlabelled_run, viewport={"width": 1280, "height": 900})
    assert not reader.page.locator("#map-classes-title").is_visible()
    assert reader.page.locator(".chip").count() == 0
    chosen = unlabelled_run.ids[0]
    reader.page.mouse.click(*reader.point_of(chosen))
    reader.settle()
    panel = reader.page.locator("#map-neighbors")
    named = [tile.get_attribute("aria-label").split(",")[0] for tile in panel.locator(".tile").all()]
    assert named[:6] == brute_force(unlabelled_run, "caffenet/pool5", chosen, 6)
    assert not {"✓", "✗", "label", "no class"} & set(panel.inner_text().split())
    assert reader.complaints == []
    reader.context.close()


def test_it_prints_without_its_controls(browser, written):
    reader = Reader(browser, written)
    reader.page.emulate_media(media="print")
    assert not reader.page.locator(".toc").is_visible()
    assert not reader.page.locator("#map-layers").is_visible()
    assert reader.page.locator("#precision-0 table").is_visible()
    assert len(reader.page.pdf()) > 10_000
    reader.context.close()
