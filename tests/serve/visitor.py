"""Somebody with the page open."""

from __future__ import annotations

import contextlib
import mimetypes
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

SIZE = {"width": 1440, "height": 900}
_HAND_OVER = """([data, type, kind]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const held = new DataTransfer();
  held.items.add(new File([bytes], "own", { type }));
  const event = kind === "paste"
    ? new ClipboardEvent(kind, { clipboardData: held, bubbles: true, cancelable: true })
    : new DragEvent(kind, { dataTransfer: held, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


class Visitor:
    """Keeps what the browser complains of and asks for."""

    def __init__(self, browser, url: str, **context) -> None:
        self.url = url
        self.context = browser.new_context(**({"viewport": SIZE} | context))
        self.page = self.context.new_page()
        self.page.set_default_timeout(90_000)  # the first words and image start a network
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, link: str = "/") -> None:
        self.page.goto(self.url + link)
        self.settle()

    def settle(self) -> None:
        """Wait until everything that was asked is answered."""
        self.page.wait_for_function(
            "() => document.getElementById('results').ariaBusy === 'false'"
            " && !document.querySelector('[data-representation][aria-busy=true]')"
        )

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Something that changes the link, and the answers to it."""
        before = self.page.url
        yield
        self.page.wait_for_function("before => location.href !== before", arg=before)
        self.settle()

    def ask(self, what: str, how: str = "Ask") -> None:
        self.page.get_by_label("What to ask with").fill(what)
        with self.asking():
            self.page.get_by_role("button", name=how, exact=True).click()

    def hand_over(self, file: Path, kind: str) -> None:
        """Paste or drop an image."""
        type_ = mimetypes.guess_type(file.name)[0]
        with self.asking():
            self.page.evaluate(_HAND_OVER, [b64encode(file.read_bytes()).decode(), type_, kind])

    @property
    def query(self) -> str:
        return self.page.evaluate("location.search")

    @property
    def layers(self) -> list[str]:
        columns = self.page.locator("#results [data-representation]")
        return [column.get_attribute("data-representation") for column in columns.all()]

    def column(self, layer: str):
        return self.page.locator(f'#results [data-representation="{layer}"]')

    def found(self, layer: str) -> list[str]:
        """The ids that a layer's answer shows."""
        return [text.strip() for text in self.column(layer).locator(".tile .id").all_text_contents()]

    def tile(self, layer: str, image: str):
        return self.column(layer).locator("li", has=self.page.locator(".id", has_text=image))

    @property
    def problem(self) -> str:
        return self.page.locator("#problem").inner_text()

    def plot(self, expression: str, argument=None):
        script = f"(a) => {{ const {{ plot }} = document.getElementById('map-stage'); return {expression}; }}"
        return self.page.evaluate(script, argument)

    def on_map(self) -> None:
        """Wait until the map is drawn and still."""
        self.page.wait_for_function(
            "() => { const { plot } = document.getElementById('map-stage');"
            " return plot?.points.images.length && plot.moved === 1 && !plot.pending; }"
        )

    def close(self) -> None:
        self.context.close()
