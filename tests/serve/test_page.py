"""The page in headless Chromium, asked as a visitor asks it, of a service that runs as a user starts it."""

from __future__ import annotations

import functools
import re
import urllib.parse
from pathlib import Path

import numpy as np
import pytest

from tests.serve.page_project import LAYER, nearest
from tests.serve.running import Service
from tests.serve.visitor import Visitor

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
ARTEFACTS = Path(__file__).parents[1] / "artefacts"
CAT = "000009"  # any image without copies


@pytest.fixture
def visitor(browser, page_service: Service):
    visitor = Visitor(browser, page_service.url)
    yield visitor
    visitor.close()
    assert visitor.complaints == []
    assert {urllib.parse.urlsplit(request).netloc for request in visitor.requests} <= {
        urllib.parse.urlsplit(page_service.url).netloc,
        "",
    }


def _fulfill(path: Path, headers: dict[str, str], route) -> None:
    route.fulfill(path=path, headers=headers, content_type="image/png")


def picture(folder: Path, image: str) -> Path:
    return folder / f"data/raw/toy/{image}.png"


def test_an_id_is_answered_by_four_layers_side_by_side(visitor, page_store):
    visitor.open()
    visitor.ask(CAT)
    assert visitor.layers == list(page_store.layers)[:4]
    for layer in visitor.layers:
        assert visitor.found(layer) == nearest(page_store, CAT, of=layer)


def test_a_class_lists_its_images_and_one_of_them_asks(visitor, page_store):
    visitor.open()
    visitor.ask("Dog")
    shown = visitor.page.locator("#results .tile .id").all_text_contents()
    file, _ = page_store.file(LAYER)
    assert (
        shown[:50]
        == [name for name in file.ids.tolist() if "dog" in file.labels_of(file.rows([name])[0])][:50]
    )
    with visitor.asking():
        visitor.page.locator("#results .tile").first.click()
    assert visitor.found(LAYER) == nearest(page_store, shown[0], classes="dog")


def test_words_are_asked_of_the_layers_that_read(visitor, page_store):
    visitor.open()
    visitor.ask("a red block")
    assert visitor.layers == [layer for layer in page_store.layers if layer in ("clip/image", "unit/image")]
    assert visitor.found("clip/image") == nearest(page_store, text="a red block", of="clip/image")
    assert "%" not in visitor.column("clip/image").locator(".tile").first.inner_text()


@pytest.mark.parametrize("way", ["paste", "drop", "choose"])
def test_an_image_of_ones_own_is_asked_with(visitor, page_folder, page_store, way):
    visitor.open(f"/?of={LAYER}")
    own = picture(page_folder, CAT)
    if way == "choose":
        with visitor.asking():
            visitor.page.locator("#file").set_input_files(own)
    else:
        visitor.hand_over(own, way)
    assert visitor.found(LAYER)[0] == CAT
    assert visitor.found(LAYER) == nearest(page_store, image=own)
    # the link has its name, and this browser its bytes
    visitor.page.reload()
    visitor.settle()
    assert visitor.found(LAYER)[0] == CAT
    assert visitor.page.locator(".term img").count() == 1


def test_an_image_of_ones_own_in_another_browser_is_said_to_be_elsewhere(visitor):
    visitor.open("/?image=abc")
    assert "drop it here again" in visitor.problem


def test_a_link_of_the_page_or_of_an_image_is_followed(visitor, page_service, page_store):
    visitor.open()
    visitor.ask(f"{page_service.url}/?id={CAT}&of={LAYER}&k=5")
    assert visitor.found(LAYER) == nearest(page_store, CAT, k=5)
    visitor.ask(f"{page_service.url}/api/images/000005/thumb?size=64")
    assert visitor.found(LAYER) == nearest(page_store, "000005", k=5)


def test_a_link_to_an_image_elsewhere_is_read_where_its_site_allows_it(browser, page_service, page_folder):
    visitor = Visitor(browser, page_service.url)
    for site, allowed in (("open", "*"), ("closed", "https://closed.example")):
        headers = {"Access-Control-Allow-Origin": allowed}
        visitor.context.route(
            f"https://{site}.example/**",
            functools.partial(_fulfill, picture(page_folder, CAT), headers),
        )
    visitor.open(f"/?of={LAYER}")
    visitor.ask("https://open.example/a.png")
    assert visitor.found(LAYER)[0] == CAT
    visitor.page.get_by_label("What to ask with").fill("https://closed.example/a.png")
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("#problem", has_text="closed.example").wait_for()
    assert "save the image and drop it here" in visitor.problem
    visitor.close()


def test_what_several_layers_find_is_marked(visitor):
    visitor.open(f"/?id={CAT}")
    found = {layer: visitor.found(layer) for layer in visitor.layers}
    several = 0
    for layer, names in found.items():
        for place, name in enumerate(names):
            count = sum(name in other for other in found.values())
            item = visitor.column(layer).locator("li").nth(place)
            marks = item.locator(".also").all_text_contents()
            assert marks == ([] if count == 1 else [f"in all {count}" if count == 4 else f"in {count} of 4"])
            several += count > 1
    assert several
    first = visitor.page.locator("li:has(.also) .tile").first
    first.focus()
    image = first.locator("xpath=..").get_attribute("data-image")
    same = [item.get_attribute("data-image") for item in visitor.page.locator("li.same").all()]
    assert len(same) > 1
    assert set(same) == {image}


def test_distance_stands_beside_the_share_of_random_pairs_that_are_as_near(visitor, page_service):
    visitor.open(f"/?id={CAT}&of={LAYER}")
    answer = page_service.get(f"/api/neighbors?id={CAT}&model=net&layer=pooled&k=12").json()
    tiles = visitor.column(LAYER).locator(".tile")
    apart, shares = (tiles.locator(part).all_text_contents() for part in (".verdict", ".as-near"))
    for near, distance, share in zip(answer["neighbors"], apart, shares, strict=True):
        assert distance.endswith(f"{near['distance']:.3f}".replace("-", "−"))
        below, told = re.fullmatch(r"(< )?([\d.]+) %", share).groups()
        least = 1 / answer["pairs"]
        assert float(told) / 100 == pytest.approx(max(near["as_near"], least), rel=0.06)
        assert bool(below) == (near["as_near"] < least)


def test_choosing_an_image_asks_with_it_and_back_goes_back(visitor, page_store):
    visitor.open(f"/?id={CAT}&of={LAYER}")
    before = visitor.found(LAYER)
    with visitor.asking():
        visitor.column(LAYER).locator(".tile").nth(2).click()
    assert visitor.found(LAYER) == nearest(page_store, before[2])
    assert urllib.parse.parse_qs(visitor.query[1:])["id"] == [before[2]]
    with visitor.asking():
        visitor.page.go_back()
    assert visitor.found(LAYER) == before


def test_plus_and_minus(visitor, page_store):
    visitor.open(f"/?id={CAT}&of={LAYER}")
    plus, minus = visitor.found(LAYER)[3:5]
    for image, sign in ((plus, "Add to the question"), (minus, "Take away from the question")):
        item = visitor.tile(LAYER, image)
        with visitor.asking():
            item.hover()
            item.get_by_role("button", name=f"{sign}: {image}").click()
        item = None
    assert visitor.found(LAYER) == nearest(page_store, CAT, plus, minus=minus)
    assert visitor.page.locator(".term").all_inner_texts() == [
        f"+\n{CAT}\n×", f"+\n{plus}\n×", f"−\n{minus}\n×"
    ]  # fmt: skip
    with visitor.asking():
        visitor.page.get_by_role("button", name=f"Remove {plus}").click()
    with visitor.asking():
        visitor.page.get_by_role("button", name=f"{minus}: add it").click()
    assert visitor.found(LAYER) == nearest(page_store, CAT, minus)
    visitor.ask("000020", how="Take away from the question")
    assert visitor.found(LAYER) == nearest(page_store, CAT, minus, minus="000020")


def test_class_split_distance_and_number_filter(visitor, page_store):
    visitor.open(f"/?id={CAT}&of={LAYER}")
    page = visitor.page
    page.locator("#pick-classes summary").click()
    with visitor.asking():
        page.get_by_role("checkbox", name="dog").check()
    assert visitor.found(LAYER) == nearest(page_store, CAT, classes="dog")
    with visitor.asking():
        page.get_by_label("split").select_option(label="train (105)")
    assert visitor.found(LAYER) == nearest(page_store, CAT, classes="dog", split="train")
    with visitor.asking():
        page.get_by_label("distance").select_option("l2")
    with visitor.asking():
        page.get_by_role("spinbutton", name="nearest").fill("5")
        page.keyboard.press("Tab")
    assert visitor.found(LAYER) == nearest(page_store, CAT, classes="dog", split="train", metric="l2", k=5)
    # more than there are is as many as there are
    with visitor.asking():
        page.get_by_role("spinbutton", name="nearest").fill("1000")
        page.keyboard.press("Tab")
    dogs = sum(page_store.file(LAYER, "train")[0].labels[:, 1] == 1)
    assert len(set(visitor.page.locator("#results li[data-image]").all_inner_texts())) <= dogs
    assert visitor.page.locator(".gaps").count() == 0


def test_at_most_four_layers_are_asked(visitor, page_store):
    visitor.open(f"/?id={CAT}")
    visitor.page.locator("#pick-layers summary").click()
    for layer in list(page_store.layers)[:4]:
        with visitor.asking():
            visitor.page.get_by_role("checkbox", name=layer).check()
    fifth = visitor.page.get_by_role("checkbox", name=list(page_store.layers)[4])
    fifth.click()
    assert not fifth.is_checked()
    assert "At most 4" in visitor.page.locator("#map-live").inner_text()
    assert len(visitor.layers) == 4


def test_the_provenance_of_a_layer_is_one_click_away(visitor, page_store):
    visitor.open(f"/?id={CAT}&of={LAYER}")
    column = visitor.column(LAYER)
    column.locator("summary").click()
    told = column.locator("dl").inner_text()
    file, own = page_store.file(LAYER)
    assert file.key(own)["weights_sha256" if "weights_sha256" in file.key(own) else "architecture"] in told
    assert file.layer_digest(own) in told
    assert page_store.state in told


def test_the_answers_are_lit_on_the_map(visitor, page_store):
    visitor.open(f"/?id={CAT}&of={LAYER}")
    visitor.on_map()
    visitor.page.wait_for_function("() => document.getElementById('map-stage').dataset.lit")
    on_map = set(page_store.file(LAYER)[0].ids.tolist()[:100])
    lit = [name for name in nearest(page_store, CAT) if name in on_map]
    assert int(visitor.page.locator("#map-stage").get_attribute("data-lit")) == len(lit)
    assert visitor.plot("plot.marks.neighbors.length") == len(lit)
    assert visitor.plot("plot.marks.chosen") is not None
    visitor.page.get_by_role("radio", name="PCA").click()
    visitor.page.locator("#map-stage[aria-label*='PCA map of 100 images of test']").wait_for()
    assert f"map={LAYER}+pca" in urllib.parse.unquote(visitor.query)
    visitor.page.get_by_role("button", name="Map", exact=True).click()
    visitor.settle()
    assert not visitor.page.locator("#map-stage").is_visible()


def test_a_point_of_the_map_asks(visitor, page_store):
    visitor.open(f"/?of={LAYER}")
    visitor.on_map()
    visitor.page.locator("#map-stage").scroll_into_view_if_needed()
    box = visitor.page.locator("#map-stage").bounding_box()
    # the point that is farthest from the others can be hit surely
    places = np.array(visitor.plot("plot.points.images.map((_, i) => plot.screen(i))"))
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(len(places))
    number = int(apart.min(axis=1).argmax())
    with visitor.asking():
        visitor.page.mouse.click(box["x"] + 1 + places[number, 0], box["y"] + 1 + places[number, 1])
    asked = page_store.file(LAYER)[0].ids.tolist()[number]
    assert visitor.found(LAYER) == nearest(page_store, asked)


def test_a_lasso_asks_with_many(visitor, page_store):
    visitor.open(f"/?of={LAYER}")
    visitor.on_map()
    page = visitor.page
    page.get_by_role("button", name="Lasso").click()
    page.locator("#map-stage").scroll_into_view_if_needed()
    box = page.locator("#map-stage").bounding_box()
    left, top, middle, low = (
        box["x"] + 3,
        box["y"] + 3,
        box["x"] + box["width"] / 2,
        box["y"] + box["height"] - 3,
    )
    places = np.array(visitor.plot("plot.points.images.map((_, i) => plot.screen(i))"))
    ids = page_store.file(LAYER)[0].ids.tolist()
    inside = [ids[number] for number, (x, _) in enumerate(places) if x + box["x"] + 1 < middle]
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((middle, top), (middle, low), (left, low)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    panel = page.locator("#map-selection")
    assert f"{len(inside)} images selected" in panel.inner_text()
    with visitor.asking():
        panel.get_by_role("button", name="Ask with all").click()
    assert sorted(urllib.parse.parse_qs(visitor.query[1:])["id"]) == sorted(inside)
    assert visitor.found(LAYER) == nearest(page_store, *inside)
    assert page.locator(".term").count() == min(len(inside), 13)


@pytest.mark.parametrize(
    "link",
    [
        f"/?id={CAT}&id=000007&minus=000011&of={LAYER}&of=clip/image&class=dog&class=cat&k=7&metric=l2",
        f"/?text=a+red+block&minus={CAT}&of=clip/image&split=train",
        "/?class=dog&split=train&map=net/pooled+pca",
        f"/?id=900004&of={LAYER}&map=none",
    ],
)
def test_a_link_restores_its_state(visitor, browser, page_service, link):
    visitor.open(link)
    assert dict(urllib.parse.parse_qs(visitor.query[1:])) == dict(urllib.parse.parse_qs(link[2:]))
    chosen = visitor.page.locator("#ask :checked").evaluate_all("all => all.map((each) => each.value)")
    assert {value for _, value in urllib.parse.parse_qsl(link[2:])} >= set(filter(None, chosen))
    before = [visitor.found(layer) for layer in visitor.layers]
    other = Visitor(browser, page_service.url)
    other.page.goto(visitor.page.url)
    other.settle()
    assert [other.found(layer) for layer in other.layers] == before
    assert other.page.title() == visitor.page.title()
    other.close()


def test_the_keyboard_alone_asks_and_goes_on(visitor, page_store):
    visitor.open(f"/?of={LAYER}&map=none")
    keys = visitor.page.keyboard
    keys.press("/")
    assert visitor.page.evaluate("document.activeElement.id") == "box"
    keys.type(CAT)
    with visitor.asking():
        keys.press("Enter")
    visitor.page.locator("#results summary").focus()
    keys.press("Tab")
    focused = "document.activeElement.querySelector('.id')?.textContent"
    found = visitor.found(LAYER)
    assert visitor.page.evaluate(focused) == found[0]
    assert visitor.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    assert visitor.page.evaluate(focused) == found[2]
    keys.press("ArrowLeft")
    with visitor.asking():
        keys.press("-")
    assert visitor.found(LAYER) == nearest(page_store, CAT, minus=found[1])
    # the next key goes on from the answers
    keys.press("Tab")
    keys.press("Tab")
    assert visitor.page.evaluate(focused) == visitor.found(LAYER)[0]
    with visitor.asking():
        keys.press("Enter")
    assert CAT not in urllib.parse.parse_qs(visitor.query[1:])["id"]


def test_what_cannot_be_asked_is_said(visitor):
    visitor.open("/?id=nobody")
    gaps = visitor.page.locator(".gaps").all_inner_texts()
    assert len(gaps) == 4
    assert all("nobody" in gap for gap in gaps)
    visitor.open(f"/?id={CAT}&of=net/none")
    assert "net/none" in visitor.page.locator(".gaps").inner_text()
    visitor.complaints[:] = [line for line in visitor.complaints if "Failed to load resource" not in line]


def test_pictures_are_fetched_when_they_come_near(browser, page_service):
    visitor = Visitor(browser, page_service.url, viewport={"width": 1000, "height": 500})
    visitor.open(f"/?id={CAT}&of={LAYER}&k=109")
    assert visitor.column(LAYER).locator(".tile").count() < 109
    asked = sum("/thumb" in request for request in visitor.requests)
    for _ in range(12):
        visitor.page.mouse.wheel(0, 1500)
        visitor.page.wait_for_timeout(50)
    visitor.page.wait_for_function("() => document.querySelectorAll('#results .tile').length === 109")
    visitor.page.locator("#results .tile").last.scroll_into_view_if_needed()
    visitor.page.wait_for_function("() => [...document.querySelectorAll('#results img')].at(-1).complete")
    assert sum("/thumb" in request for request in visitor.requests) > asked
    assert visitor.complaints == []
    visitor.close()


@pytest.mark.parametrize(
    "screen",
    [
        ("desktop", 1440, 900, "light"),
        ("tablet-dark", 820, 1100, "dark"),
        ("phone", 390, 844, "light"),
        ("phone-dark", 390, 844, "dark"),
    ],
)
@pytest.mark.parametrize("link", ["/", f"/?id={CAT}&minus=000007&map={LAYER}"])
def test_nothing_sticks_out_and_nothing_is_out_of_reach(browser, page_service, screen, link):
    name, width, height, scheme = screen
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")
    size = {"width": width, "height": height}
    visitor = Visitor(browser, page_service.url, viewport=size, color_scheme=scheme)
    visitor.open(link)
    if width > 1200 or "map" in link:
        visitor.on_map()
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = np.mean([int(part) for part in background[4:-1].split(",")])
    assert (lightness < 60) == (scheme == "dark")
    for summary in visitor.page.locator(".pick summary").all():
        summary.click()
    found = axe.Axe().run(visitor.page)
    serious = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
    assert serious == [], [(each["id"], each["nodes"][0]["html"]) for each in serious]
    for summary in visitor.page.locator(".pick summary").all():
        summary.click()
    ARTEFACTS.mkdir(exist_ok=True)
    kind = "answers" if "id" in link else "start"
    visitor.page.screenshot(path=ARTEFACTS / f"ask-{kind}-{name}.png")
    assert visitor.complaints == []
    visitor.close()


def test_a_finger_asks(browser, page_service, page_store):
    visitor = Visitor(
        browser, page_service.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    visitor.open(f"/?id={CAT}")
    first = visitor.layers[0]
    image = visitor.found(first)[1]
    with visitor.asking():
        visitor.column(first).locator(".tile").nth(1).tap()
    assert visitor.found(first) == nearest(page_store, image, of=first)
    with visitor.asking():
        visitor.column(first).get_by_role("button", name="Take away").first.tap()
    assert "minus=" in visitor.query
    visitor.close()
