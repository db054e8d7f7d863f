"""Vectors from another process: the bits that are stored, whatever becomes of the process."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pool5.errors import UserError
from pool5.models.card import CARD_FILE
from pool5.params import load_params
from pool5.project import Project
from pool5.questions.embedder import InProcess
from pool5.questions.open_store import OpenStore
from pool5.questions.question import Question, Term
from pool5.questions.vector_process import Unavailable, VectorProcess

LAYERS = ["clip/image", "clip/block", "net/pooled", "unit/image", "moved/image"]


@pytest.fixture(scope="module")
def process(project):
    process = VectorProcess(project, pixels=1_000_000)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def store(project, process) -> OpenStore:
    params = load_params(project.params)
    return OpenStore(params, project, process.embedder(params))


def stored(store: OpenStore, layer: str, name: str) -> np.ndarray:
    file, own = store.file(layer)
    return file.layer(own)[file.rows([name])]


def vectors(store: OpenStore, layer: str, images: list[bytes | Path]) -> np.ndarray:
    return store.embedder.images(images, *store.file(layer))


@pytest.mark.parametrize("layer", LAYERS)
def test_an_image_gets_the_very_bits_that_are_stored(store, layer, picture):
    names = ["000003", "000050", "000007"]
    found = vectors(store, layer, [picture(name) for name in names])
    np.testing.assert_array_equal(found, np.concatenate([stored(store, layer, name) for name in names]))


@pytest.mark.parametrize("layer", LAYERS)
def test_an_open_network_in_this_process_gives_the_same(store, layer, picture, project):
    here = InProcess(store.params, project)
    for name in ("000003", "000050"):  # the second by the network that is open
        found = here.images([picture(name)], *store.file(layer))
        np.testing.assert_array_equal(found, stored(store, layer, name))


def test_a_file_is_taken_by_its_path(store, project):
    path = project.root / "data/raw/toy/000050.png"
    np.testing.assert_array_equal(vectors(store, "net/pooled", [path]), stored(store, "net/pooled", "000050"))


def test_words_get_the_vectors_of_the_text_tower(store, project):
    file, layer = store.file("clip/image")
    texts = ["a dog on a sofa", "a cat"]
    there = store.embedder.words(texts, file, layer)
    np.testing.assert_array_equal(there, InProcess(store.params, project).words(texts, file, layer))
    np.testing.assert_array_equal(store.embedder.words(texts[1:], file, layer), there[1:])


def test_a_question_with_an_image_finds_that_image_and_its_copies_first(store, picture):
    answer = store.answer(Question((Term("the image", "image", data=picture("000003")),)), "net/pooled")
    assert [near.id for near in answer.neighbors[:3]] == ["000003", "000007", "000100"]
    assert answer.neighbors[0].distance == 0


def test_many_threads_get_each_its_own(store, picture):
    asked = [(layer, f"{number:06d}") for number in range(40) for layer in LAYERS]
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda each: vectors(store, each[0], [picture(each[1])]), asked))
    for (layer, name), vector in zip(asked, found, strict=True):
        np.testing.assert_array_equal(vector, stored(store, layer, name))


def bomb() -> bytes:
    data = io.BytesIO()
    Image.new("L", (1001, 1000)).save(data, "PNG")
    return data.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"^the image: empty file; give another image$"),
        (b"no image", r"^the image: .*; give another image$"),
        (bomb(), r"^the image has 1001 x 1000 pixels; give an image of 1,000,000 or fewer$"),
    ],
)
def test_what_is_no_image_is_refused_in_a_line_and_beside_it_others_are_answered(
    store, picture, data, message
):
    with ThreadPoolExecutor(8) as pool:
        good = [pool.submit(vectors, store, "net/pooled", [picture(f"{n:06d}")]) for n in range(60, 64)]
        bad = pool.submit(vectors, store, "net/pooled", [data])
        with pytest.raises(UserError, match=message):
            bad.result()
    assert all(len(each.result()) == 1 for each in good)


def test_words_that_a_model_does_not_read_are_refused(store):
    with pytest.raises(UserError, match="is taken as a text, and mobilenet_v3_small has no text tower"):
        store.embedder.words(["a dog"], *store.file("net/pooled"))


def test_who_waits_for_a_process_that_is_killed_is_told_and_the_next_is_answered(project, picture):
    params = load_params(project.params)
    process = VectorProcess(project)
    store = OpenStore(params, project, process.embedder(params))
    try:
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(vectors, store, "net/pooled", [picture("000050")]) for _ in range(3)]
            while process.pid is None:
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
            for each in waiting:
                with pytest.raises(Unavailable, match=r"^the process .* has died; ask again in 1 s$") as told:
                    each.result()
                assert told.value.retry_after == 1
        found = vectors(store, "net/pooled", [picture("000050")])
        np.testing.assert_array_equal(found, stored(store, "net/pooled", "000050"))
        assert process.starts == 2
    finally:
        process.stop()
    assert process.pid is None


def test_a_network_that_takes_too_long_is_ended(project, picture):
    params = load_params(project.params)
    process = VectorProcess(project, seconds=0.05)  # less than it takes to start
    store = OpenStore(params, project, process.embedder(params))
    with pytest.raises(Unavailable, match="took longer than"):
        vectors(store, "net/pooled", [picture("000050")])
    assert process.pid is None


def test_more_questions_than_may_wait_are_refused_at_once(project, picture):
    params = load_params(project.params)
    process = VectorProcess(project, most=2)
    store = OpenStore(params, project, process.embedder(params))
    try:
        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(vectors, store, "net/pooled", [picture("000050")]) for _ in range(6)]
        refused = [each.exception() for each in asked if each.exception()]
        assert len(refused) == 4
        assert all(isinstance(error, Unavailable) and "2 questions wait" in str(error) for error in refused)
    finally:
        process.stop()


def test_an_open_network_answers_for_its_features_when_its_files_are_others(project, picture, tmp_path):
    own = Project(tmp_path / "own")
    shutil.copytree(project.root, own.root)
    params = load_params(own.params)
    process = VectorProcess(own)
    store = OpenStore(params, own, process.embedder(params))
    try:
        vectors(store, "net/pooled", [picture("000003")])
        shutil.rmtree(own.model("net"))
        found = vectors(store, "net/pooled", [picture("000050")])
        np.testing.assert_array_equal(found, stored(store, "net/pooled", "000050"))
        process.stop()
        with pytest.raises(UserError) as told:  # a new one has nothing to open
            vectors(store, "net/pooled", [picture("000050")])
        assert told.value.rerun == "model@net"
    finally:
        process.stop()


def test_features_of_another_network_than_the_files_are_refused(project, picture, tmp_path):
    own = Project(tmp_path / "own")
    shutil.copytree(project.root, own.root)
    params = load_params(own.params)
    card = own.model("net") / CARD_FILE
    (other := json.loads(card.read_text()))["weights_sha256"] = "0" * 64
    card.write_text(json.dumps(other))
    process = VectorProcess(own)
    store = OpenStore(params, own, process.embedder(params))
    try:
        with pytest.raises(UserError, match="stored with another weights_sha256 than"):
            vectors(store, "net/pooled", [picture("000003")])
    finally:
        process.stop()


def asking(project: Project, then: str) -> list[str]:
    code = """
        import sys, time
        from pool5.params import load_params
        from pool5.project import Project
        from pool5.questions.open_store import OpenStore
        from pool5.questions.vector_process import VectorProcess
        from pathlib import Path

        project = Project(Path(sys.argv[1]))
        params, process = load_params(project.params), VectorProcess(project)
        store = OpenStore(params, project, process.embedder(params))
        path = project.root / "data/raw/toy/000050.png"
        vector = store.embedder.images([path.read_bytes()], *store.file("net/pooled"))
    """
    return [sys.executable, "-c", textwrap.dedent(code) + then, str(project.root)]


def test_who_asks_needs_no_torch(project):
    then = "print('torch' in sys.modules, vector.shape)"
    done = subprocess.run(asking(project, then), capture_output=True, text=True, check=True)
    assert done.stdout == "False (1, 576)\n"


def test_the_process_ends_with_the_one_that_asks(project):
    then = "print(process.pid, flush=True); time.sleep(100)"
    asker = subprocess.Popen(asking(project, then), stdout=subprocess.PIPE, text=True)
    assert asker.stdout is not None
    pid = int(asker.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    asker.kill()
    asker.wait()
    deadline = time.monotonic() + 20
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    """A zombie, which waits for a parent that may never ask, does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
