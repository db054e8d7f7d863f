"""The page and its data as plain files: the same answers as the store gives, from any web server."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.server
import io
import json
import re
import shutil
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from pool5.cli import main
from pool5.datasets.manifest import TEXT, write_manifest
from pool5.errors import UserError
from pool5.images.address import Address
from pool5.images.image_bytes import digest_of, read_bytes
from pool5.project import Project
from pool5.questions.open_store import OpenStore
from pool5.serve.export import Exported, export, picture_name
from pool5.serve.images import StoredImage, StoredImages
from pool5.stages import neighbors
from pool5.store.feature_file import write_feature_file
from pool5.store.feature_key import FeatureKey
from tests.cli.small_project import CLASSES, images
from tests.serve.page_project import LAYER, nearest
from tests.serve.visitor import Visitor

IMAGE, TRAINING = "000003", "900004"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@dataclasses.dataclass(frozen=True)
class Site:
    folder: Path
    done: Exported

    @property
    def told(self) -> dict:
        page = (self.folder / "index.html").read_text()
        return json.loads(re.search(r'id="store">(.*?)</script>', page)[1])

    @property
    def data(self) -> Path:
        return self.folder / self.told["files"]["folder"]


@pytest.fixture(scope="module")
def site(page_store, tmp_path_factory) -> Site:
    folder = tmp_path_factory.mktemp("web") / "a page"
    return Site(folder, export(page_store, folder))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    """Of a plain web server that has the page in a folder of its own."""
    with served(site.folder.parent) as root:
        yield f"{root}a%20page/"


ODD = ["a b/c#1?.png", "ü", "😀/1", "\uffee", "%2Fcat", "..", "A", "a", "<b>&amp;", "+1", "'\"", "0" * 40]


def odd_store(folder: Path) -> OpenStore:
    """Of images whose ids are hard to write in a link, in HTML or as the name of a file."""
    project, rng = Project(folder), np.random.default_rng(0)
    manifest = images(folder, "test", "0", 110, 0)
    manifest = dataclasses.replace(manifest, ids=np.array(ODD + manifest.ids.tolist()[len(ODD) :], TEXT))
    write_manifest(manifest, project.manifest("test"))
    key = FeatureKey(
        architecture="net",
        weights_sha256="0" * 64,
        node="fc",
        preprocessing={},
        precision="fp32",
        dtype="float32",
        recipe_version=1,
    )
    write_feature_file(
        project.features("net", "test"),
        dataset="toy",
        split="test",
        model="net",
        classes=CLASSES,
        ids=np.array(manifest.ids.tolist()),
        digests=manifest.digests,
        labels=np.asarray(manifest.labels),
        layers={"fc": rng.standard_normal((len(manifest), 8), np.float32)},
        keys={"fc": key},
    )
    project.params.write_text(
        "dataset: {name: toy, kind: folder, root: data/raw/toy, train: train, test: test}\n"
        "models: {net: {architecture: mobilenet_v3_small, weights: random, layers: {fc: flatten}}}\n"
    )
    return OpenStore.open(project)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a plain web server that has a folder."""
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture
def visitor(browser, address: str) -> Iterator[Visitor]:
    visitor = Visitor(browser, address)
    yield visitor
    visitor.close()
    assert visitor.complaints == []
    assert all(request.startswith((address, "data:", "blob:")) for request in visitor.requests)


def lists(site: Site, layer: str, asking: str, found: str, row: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of a row, read as the page reads them."""
    told = site.told
    splits = [split["name"] for split in told["splits"]]
    number = [each["layer"] for each in told["layers"]].index(layer)
    name = f"{number}-{splits.index(asking)}-{splits.index(found)}"
    depth, size = told["files"]["layers"][layer]["depths"][asking][found], told["files"]["lists_a_file"]
    data = (site.data / f"nearest/{name}/{row // size}.bin").read_bytes()
    rows, distances = np.split(np.frombuffer(data, "<i4"), 2)
    mine = slice(row % size * depth, (row % size + 1) * depth)
    return rows[mine], distances.view("<f4")[mine]


@pytest.mark.parametrize(("asking", "found"), [("test", "test"), ("train", "test"), ("test", "train")])
def test_the_files_hold_what_the_store_answers(site, page_store, asking, found):
    for layer in page_store.layers:
        queries, database = page_store.file(layer, asking)[0], page_store.file(layer, found)[0]
        for row in (0, 3, 70):
            name = str(queries.ids[row])
            (answer,) = page_store.ask(name, of=layer, k=100, split=found)
            rows, distances = lists(site, layer, asking, found, row)
            assert database.ids[rows].tolist() == [near.id for near in answer.neighbors]
            np.testing.assert_array_equal(distances, np.float32([near.distance for near in answer.neighbors]))


def test_the_files_are_told_in_the_page_and_counted(site, page_store):
    assert (site.done.images, site.done.pictures, site.done.layers) == (215, 215, len(page_store.layers))
    assert site.done.size == sum(path.stat().st_size for path in site.folder.rglob("*") if path.is_file())
    told = site.told
    assert told["state"] == page_store.state
    assert not any(layer["words"] or layer["images"] for layer in told["layers"])
    assert not {path.name for path in site.folder.iterdir()} - {"index.html", "store"}


def test_a_picture_is_small_and_named_by_its_id(site):
    name = picture_name(IMAGE)
    with Image.open(site.data / f"pictures/0/{name[:2]}/{name}.webp") as picture:
        assert (picture.format, picture.size) == ("WEBP", (80, 72))
    # the test vectors of its authors: http://www.isthe.com/chongo/tech/comp/fnv
    assert picture_name("") == "cbf29ce484222325"
    assert picture_name("foobar") == "85944171f73967e8"


def test_a_picture_has_nothing_of_what_cameras_write_into_a_file(tmp_path):
    told = Image.Exif()
    told[0x010F], told[0x0112], told[0x8825] = "camera", 6, {1: "N", 2: (48.0, 8.0, 12.0)}
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.jpg", exif=told, comment=b"secret", icc_profile=SRGB)
    address = Address(str(tmp_path / "a.jpg"))
    stored = StoredImage("a", "test", digest_of(read_bytes(address), address), address)
    with Image.open(io.BytesIO(StoredImages().thumbnail(stored, 256))) as picture:
        assert picture.size == (20, 40)  # upright all the same
        assert not picture.getexif()
        assert {"exif", "xmp", "comment"}.isdisjoint(picture.info)


def test_the_same_store_gives_the_same_bytes(site, page_store, tmp_path):
    export(page_store, tmp_path / "again")
    for path in site.folder.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "again" / path.relative_to(site.folder)).read_bytes()


def test_a_stored_graph_gives_the_lists_that_a_search_gives(site, page_folder, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    shutil.copytree(page_folder, folder, symlinks=True)
    project = Project(folder)
    project.params.write_text(project.params.read_text() + f"neighbors: {{of: [{LAYER}], depth: 20}}\n")
    monkeypatch.chdir(folder)
    neighbors.main()
    store = OpenStore.open(project)
    done = Site(tmp_path / "web", export(store, tmp_path / "web"))
    assert done.told["files"]["layers"][LAYER]["depths"]["test"] == {"test": 20, "train": 20}
    for asking, found in (("test", "test"), ("train", "test")):
        for own, searched in zip(
            lists(done, LAYER, asking, found, 7), lists(site, LAYER, asking, found, 7), strict=True
        ):
            np.testing.assert_array_equal(own, searched[:20])


def test_an_earlier_export_is_replaced_and_nothing_else(page_store, tmp_path, monkeypatch):
    export(page_store, tmp_path / "web")
    (tmp_path / "web/store/left over").mkdir()
    export(page_store, tmp_path / "web")
    assert not (tmp_path / "web/store/left over").exists()
    (tmp_path / "own").mkdir()
    (tmp_path / "own/thesis.tex").write_text("years")
    with pytest.raises(UserError, match="has other things in it than an earlier export"):
        export(page_store, tmp_path / "own")
    (tmp_path / "web/thesis.tex").write_text("years")
    with pytest.raises(UserError, match="other things"):
        export(page_store, tmp_path / "web")
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    for folder, where in ((tmp_path / "own", Path()), (tmp_path / "empty", Path("web/.."))):
        monkeypatch.chdir(folder)
        with contextlib.suppress(UserError):
            export(page_store, where)
    assert (tmp_path / "own/thesis.tex").read_text() == "years"
    assert (tmp_path / "empty/index.html").is_file()


def test_a_stop_on_the_way_leaves_what_was_there(page_store, tmp_path, monkeypatch):
    export(page_store, tmp_path / "web")
    before = (tmp_path / "web/index.html").read_bytes()

    def stop(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("pool5.serve.export.render_page", stop)
    with pytest.raises(KeyboardInterrupt):
        export(page_store, tmp_path / "web")
    assert (tmp_path / "web/index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["web"]


def test_an_image_that_is_gone_has_no_picture_and_stops_nothing(page_folder, tmp_path, caplog):
    folder = tmp_path / "project"
    shutil.copytree(page_folder, folder, symlinks=True)
    (folder / f"data/raw/toy/{IMAGE}.png").unlink()
    done = export(OpenStore.open(Project(folder)), tmp_path / "web")
    assert (done.images, done.pictures) == (215, 214)
    assert "1 image without a picture" in caplog.text


def test_the_command_says_what_it_wrote_and_how_to_look_at_it(page_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(page_folder)
    monkeypatch.setattr(sys, "argv", ["pool5", "serve", "--export", str(tmp_path / "web")])
    with pytest.raises(SystemExit) as end:
        main()
    out = capsys.readouterr().out
    assert not end.value.code
    assert out.startswith(f"{tmp_path / 'web'}: 215 images, ")
    assert "python -m http.server" in out


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
class TestInABrowser:
    def test_an_id_is_answered_as_the_store_answers_it(self, visitor, page_store):
        visitor.open("")
        visitor.ask(IMAGE)
        assert visitor.layers == list(page_store.layers)[:4]
        for layer in visitor.layers:
            assert visitor.found(layer) == nearest(page_store, IMAGE, of=layer)

    def test_an_image_of_another_split_asks_too(self, visitor, page_store):
        visitor.open(f"?id={TRAINING}&of={LAYER}")
        assert visitor.found(LAYER) == nearest(page_store, TRAINING)
        visitor.open(f"?id={IMAGE}&of={LAYER}&split=train")
        assert visitor.found(LAYER) == nearest(page_store, IMAGE, split="train")

    def test_a_class_filters_and_lists_and_what_is_not_in_the_copy_is_said(self, visitor, page_store):
        visitor.open(f"?id={IMAGE}&of={LAYER}&class=dog&k=5")
        assert visitor.found(LAYER) == nearest(page_store, IMAGE, classes="dog", k=5)
        visitor.open(f"?id={IMAGE}&of={LAYER}&class=dog&k=90")
        among = [near for near in page_store.ask(IMAGE, of=LAYER, k=100)[0].neighbors if "dog" in near.labels]
        assert visitor.found(LAYER)[:20] == [near.id for near in among][:20]
        assert (
            f"100 nearest of each image, of which {len(among)} show dog" in visitor.column(LAYER).inner_text()
        )

    def test_ids_are_completed(self, visitor):
        visitor.open("")
        visitor.page.get_by_label("What to ask with").fill("00001")
        visitor.page.wait_for_function(
            "() => [...document.querySelectorAll('#known option')].some(({ value }) => value === '000010')"
        )

    def test_what_needs_a_model_says_so(self, visitor):
        visitor.open(f"?id={IMAGE}&minus=snow&of={LAYER}")
        told = visitor.page.locator("main").inner_text()
        assert "This page is a copy in files" in told
        assert "pool5 serve" in told

    def test_the_map_lights_the_answers(self, visitor):
        visitor.open(f"?id={IMAGE}&of={LAYER}&map={LAYER}")
        visitor.on_map()
        assert visitor.plot("plot.points.images.length") == 100

    def test_pictures_are_shown_also_of_the_question(self, visitor):
        visitor.open(f"?id={TRAINING}&of={LAYER}")
        seen = "[...document.querySelectorAll('img')].filter((img) => img.complete)"
        visitor.page.wait_for_function(f"() => {seen}.length > 8")
        broken = visitor.page.evaluate(
            f"() => {seen}.filter((img) => !img.naturalWidth).map((img) => img.src)"
        )
        assert broken == []
        assert "no picture" not in visitor.page.locator("body").inner_text()

    def test_an_export_that_was_replaced_underneath_says_to_load_the_page_anew(self, visitor):
        visitor.open("")
        visitor.page.route("**/nearest/**", lambda route: route.fulfill(status=404))
        visitor.ask(IMAGE)
        assert "reload the page" in visitor.page.locator("main").inner_text()
        assert all("404" in complaint for complaint in visitor.complaints)
        visitor.complaints.clear()

    def test_odd_ids_are_found_completed_and_shown(self, browser, tmp_path):
        store = odd_store(tmp_path / "project")
        done = export(store, tmp_path / "web")
        assert done.pictures == done.images == 110
        with served(tmp_path / "web") as root:
            visitor = Visitor(browser, root)
            for name in ODD:
                visitor.open("?" + urllib.parse.urlencode({"id": name, "k": 19}))
                assert visitor.found("net/fc") == nearest(store, name, of="net/fc", k=19)
                visitor.page.get_by_label("What to ask with").fill(name)
                visitor.page.wait_for_function(
                    "(id) => [...document.querySelectorAll('#known option')].some((own) => own.value === id)",
                    arg=name,
                )
            assert visitor.complaints == []
            visitor.close()

    def test_without_scripts_the_page_says_what_it_needs(self, browser, address):
        visitor = Visitor(browser, address, java_script_enabled=False)
        visitor.page.goto(address)
        assert "needs scripts" in visitor.page.locator("body").inner_text()
        visitor.close()
