"""The page where scripts are off: tables, and a form that asks."""

from __future__ import annotations

import urllib.parse

import pytest

from pool5.serve.page_state import State
from tests.serve.page_project import LAYER, nearest
from tests.serve.visitor import Visitor

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CAT = "000009"  # any image without copies

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture
def visitor(browser, page_service):
    visitor = Visitor(browser, page_service.url, java_script_enabled=False)
    yield visitor
    visitor.close()
    assert visitor.complaints == []


def rows(visitor: Visitor, place: int = 0) -> list[str]:
    return [
        text.strip()
        for text in visitor.page.locator("table").nth(place).locator("tbody th").all_inner_texts()
    ]


def test_the_answers_are_tables(visitor, page_store):
    visitor.page.goto(f"{visitor.url}/?id={CAT}")
    assert visitor.page.locator("h3").all_inner_texts() == list(page_store.layers)[:4]
    for place, layer in enumerate(list(page_store.layers)[:4]):
        assert rows(visitor, place) == nearest(page_store, CAT, of=layer)
    assert "%" in visitor.page.locator("tbody tr").first.inner_text()
    assert visitor.page.locator("table img").first.evaluate(
        "image => image.complete && image.naturalWidth > 0"
    )


def test_the_form_asks_with_ids_and_words_and_an_image_asks_on(visitor, page_store):
    page = visitor.page
    page.goto(visitor.url)
    page.locator("#box").fill(CAT)
    page.locator("#pick-layers summary").click()
    page.get_by_role("checkbox", name="clip/image").check()
    page.get_by_role("button", name="Ask", exact=True).click()
    assert rows(visitor) == nearest(page_store, CAT, of="clip/image")
    page.locator("#box").fill("a red block")
    page.get_by_role("button", name="Add to the question").click()
    assert rows(visitor) == nearest(page_store, CAT, text="a red block", of="clip/image")
    other = rows(visitor)[2]
    page.locator("tbody a").nth(2).click()
    assert rows(visitor) == nearest(page_store, other, of="clip/image")


def test_a_link_with_words_is_answered_too(visitor, page_store):
    visitor.page.goto(f"{visitor.url}/?text=a+red+block&of=clip/image")
    visitor.page.locator("table").wait_for()
    assert rows(visitor) == nearest(page_store, text="a red block", of="clip/image")


def test_a_class_lists_its_images(visitor, page_store):
    visitor.page.goto(f"{visitor.url}/?q=dog&plain=1")
    file, _ = page_store.file(LAYER)
    assert rows(visitor) == file.ids[file.labels[:, 1] == 1].tolist()[:60]


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("?id=nobody", "nobody"),
        ("?class=unicorn", "no class unicorn"),
        (f"?id={CAT}&split=none", "no split none"),
        (f"?id={CAT}&of=net/none", "no layer net/none"),
        ("?" + "&".join(f"id={number}" for number in range(2000)), "at most"),
        (f"?id={CAT}&minus={CAT}&plain=1", "nothing is left"),
    ],
)
def test_what_cannot_be_asked_is_said(visitor, link, said):
    visitor.page.goto(f"{visitor.url}/{link}")
    assert said in visitor.page.locator("main").inner_text()


def test_a_state_is_its_link():
    state = State(("a/b", "ü&"), ("two words",), ("−",), ("m/l",), ("dog",), split="train", k=7, plain=True)
    assert State.of_query(urllib.parse.parse_qsl(state.link()[1:])) == state
    assert State.of_query([("k", "-3"), ("id", "")]) == State()
