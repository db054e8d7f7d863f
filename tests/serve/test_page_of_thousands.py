"""The page with thousands of answers: what is put on it, and what it asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pool5.datasets.manifest import Manifest, write_manifest
from pool5.project import Project
from pool5.store.feature_file import write_feature_file
from pool5.store.feature_key import FeatureKey
from tests.serve.running import running
from tests.serve.visitor import Visitor

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
ROWS, ASKED = 6000, 4000
PARAMS = """
dataset: {name: many, kind: folder, root: images, train: train, test: test}
models: {one: {architecture: caffenet, weights: random, layers: {a: fc6, b: fc7}}}
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Two layers of images that are long gone: the page goes on without their pictures."""
    folder = tmp_path_factory.mktemp("many")
    project = Project(folder)
    project.params.write_text(PARAMS)
    ids = np.array([f"{number:06}" for number in range(ROWS)])
    digests = np.arange(2 * ROWS, dtype=np.uint64).view(np.uint8).reshape(ROWS, 16)
    labels = np.where(np.arange(2 * ROWS).reshape(ROWS, 2) % 3, -1, 1).astype(np.int8)
    paths = np.char.add(ids, ".jpg")
    sizes = np.full((ROWS, 2), 100, np.int32)
    write_manifest(
        Manifest("test", ("cat", "dog"), ids, paths, digests, sizes, labels), project.manifest("test")
    )
    rng = np.random.default_rng(0)
    layers = {name: rng.normal(size=(ROWS, 16)).astype(np.float32) for name in ("a", "b")}
    keys = {
        name: FeatureKey("caffenet", "0" * 64, node, {"resize": 256, "crop": 224}, "fp32", "float32", 1)
        for name, node in (("a", "fc6"), ("b", "fc7"))
    }
    write_feature_file(
        project.features("one", "test"), dataset="many", split="test", model="one", classes=("cat", "dog"),
        ids=ids, digests=digests, labels=labels, layers=layers, keys=keys,
    )  # fmt: skip
    return folder


def test_thousands_of_answers_come_as_they_are_scrolled_to(browser, many, tmp_path):
    with running(many, tmp_path / "log") as service:
        visitor = Visitor(browser, service.url)
        visitor.open(f"/?id=000001&k={ASKED}")
        count = "document.querySelectorAll('#results .tile').length"
        at_first = visitor.page.evaluate(count)
        assert 2 * 60 <= at_first <= 2 * 240
        assert "4000 in one/a, 4000 in one/b" in visitor.page.locator("#map-live").inner_text()
        # down by many windows: as much is added as comes near, and never all of it
        for _ in range(20):
            visitor.page.evaluate("scrollBy({ top: 700, behavior: 'instant' })")
            visitor.page.evaluate("() => new Promise(requestAnimationFrame)")
        visitor.page.wait_for_function(f"before => {count} > before", arg=at_first)
        after = visitor.page.evaluate(count)
        assert after < 2 * ASKED / 2
        assert sum("/thumb" in request for request in visitor.requests) <= after
        visitor.close()
