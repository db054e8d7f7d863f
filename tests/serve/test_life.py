"""Processes that die, and a project that changes underneath: what the client sees."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pool5.store.feature_file import FeatureFile
from tests.conftest import made_once
from tests.serve.hostile import LAYER, picture
from tests.serve.running import HOST, Reply, Service, ask, free_port, running

pytest.importorskip("uvicorn", reason="uvicorn is not installed: there is no service")
pytestmark = pytest.mark.slow

_ASKED = f"/api/neighbors{LAYER}&id=000003&k=5"
_CLIENTS = 50
_SETTLED = 60.0  # seconds; on a machine that others use as well


def wait_for(done: Callable[[], bool], seconds: float = _SETTLED) -> bool:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def ask_with_image(service: Service) -> Reply:
    return service.post(picture("JPEG"), "image/jpeg", f"{LAYER}&k=3")


@pytest.fixture
def copied(project: Path, tmp_path: Path) -> Path:
    shutil.copytree(project, tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def service(copied: Path, tmp_path: Path) -> Iterator[Service]:
    with running(copied, tmp_path / "log", "--rate", "0") as service:
        yield service


# --- processes that die


def test_a_worker_that_was_killed_is_followed_by_another(service: Service) -> None:
    first, by_id = ask_with_image(service), service.get(_ASKED).json()
    assert first.status == 200, first
    for number in service.workers():
        os.kill(number, signal.SIGKILL)
    assert service.get(_ASKED).json() == by_id
    for _ in range(5):
        again = ask_with_image(service)
        if again.status == 200:
            break
        assert again.status == 503
        time.sleep(float(again.headers["retry-after"]))
    assert again.json() == first.json()
    assert "Traceback" not in service.log


def test_who_waits_for_a_worker_that_is_killed_is_told_to_ask_again(service: Service) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(ask_with_image, service) for _ in range(4)]
        assert wait_for(lambda: bool(service.workers()))
        time.sleep(0.3)  # in the middle of its imports
        for number in service.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        assert service.get(_ASKED).status == 200
        replies = [each.result() for each in asked]
    for reply in replies:
        assert reply.status in (200, 503)
        assert reply.status == 200 or (
            float(reply.headers["retry-after"]) > 0 and reply.json()["status"] == 503
        )
    assert wait_for(lambda: ask_with_image(service).status == 200)


@pytest.mark.parametrize("warm", [False, True])
def test_of_a_service_that_is_killed_no_process_is_left_and_the_port_is_free(
    copied: Path, tmp_path: Path, warm: bool
) -> None:
    port = free_port()
    with running(copied, tmp_path / "log", port=port) as service:
        if warm:
            assert ask_with_image(service).status == 200
        with concurrent.futures.ThreadPoolExecutor(1) as client:
            asked = client.submit(ask_with_image, service)
            assert wait_for(lambda: bool(service.workers()))
            workers = service.workers()
            service.stop(signal.SIGKILL)
            with contextlib.suppress(OSError, http.client.HTTPException):
                assert asked.result().status == 200  # it was done before; half an answer is none
        assert wait_for(lambda: not any(lives(number) for number in workers), 20)
    with running(copied, tmp_path / "log", port=port) as service:
        assert service.get(_ASKED).status == 200


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_told_to_stop_gives_whole_answers_or_none(
    copied: Path, tmp_path: Path, how: signal.Signals
) -> None:
    with running(copied, tmp_path / "log") as service:
        expected = service.get(_ASKED)
        with concurrent.futures.ThreadPoolExecutor(20) as clients:
            asked = [clients.submit(ask_until_it_stops, service) for _ in range(19)]
            asked.append(clients.submit(ask_with_image, service))
            assert wait_for(lambda: bool(service.workers()))
            workers = service.workers()
            code = service.stop(how)
            for client in asked[:-1]:
                assert {(reply.status, reply.body) for reply in client.result()} == {(200, expected.body)}
            with contextlib.suppress(ConnectionError, http.client.RemoteDisconnected):
                # five seconds are left to it
                assert asked[-1].result().status in (200, 503)
        # once all is put away, it dies of the signal, as who sent it expects
        assert code in (0, -how, 128 + how)
        assert wait_for(lambda: not any(lives(number) for number in workers), 20)


def ask_until_it_stops(service: Service) -> list[Reply]:
    """What was answered; an answer that breaks off is an error of its own (`IncompleteRead`)."""
    replies = []
    with contextlib.suppress(ConnectionError, http.client.RemoteDisconnected):
        while True:
            replies.append(service.get(_ASKED))
    return replies


def test_idle_clients_do_not_keep_a_service_from_stopping(copied: Path, tmp_path: Path) -> None:
    with running(copied, tmp_path / "log") as service, service.connect(), service.connect() as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert service.stop() in (0, -signal.SIGTERM)


def test_a_port_that_is_taken_is_one_line(copied: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        program = [sys.executable, "-m", "pool5", "serve", "--port", port]
        done = subprocess.run(program, cwd=copied, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert port in done.stderr


def lives(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# --- a project that changes underneath


@pytest.fixture(scope="session")
def changed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after a change of params.yaml that gives every image other features."""

    def change(folder: Path) -> None:
        from pool5.extract.extract_layers import extract_model
        from pool5.params import load_params
        from pool5.project import Project

        shutil.copytree(project, folder)
        now = Project(folder)
        now.params.write_text(now.params.read_text().replace("resize: 72", "resize: 79"))
        extract_model("net", load_params(now.params), now)

    return made_once(tmp_path_factory, "changed", change)


def questions(folder: Path) -> list[tuple[str, str, bytes | None]]:
    """(method, target, body): by id, of this and the other split, filtered, with a vector, in a sum."""
    file = FeatureFile.open(folder / "data/features/net/test.h5")
    vector = np.arange(file.layer("pooled").shape[1], dtype=np.float64) % 7 - 3
    asked: list[tuple[str, str, bytes | None]] = [
        ("GET", f"/api/neighbors{LAYER}&id={number:06d}&k=6", None) for number in range(0, 200, 20)
    ]
    asked += [
        ("GET", f"/api/neighbors{LAYER}&id=900005&k=4", None),  # of the other split
        ("GET", f"/api/neighbors{LAYER}&id=900007&k=4&split=train", None),
        ("GET", f"/api/neighbors{LAYER}&id=000009&k=4&class=cat", None),
        ("GET", f"/api/neighbors{LAYER}&id=000009&minus=900003&k=4&metric=l2", None),
        ("GET", "/api/images?class=cat&limit=5", None),
        ("POST", "/api/neighbors", json.dumps(
            {"model": "net", "layer": "pooled", "vector": vector.tolist(), "k": 4}).encode()),
    ]  # fmt: skip
    return asked


def answers_of(service: Service, asked: list[tuple[str, str, bytes | None]]) -> list[object]:
    replies = [
        service.ask(method, target, {"Content-Type": "application/json"}, body)
        for method, target, body in asked
    ]
    assert {reply.status for reply in replies} == {200}, replies
    return [reply.json() for reply in replies]


class Clients:
    """Many at once, each on a connection of its own, that ask until they are told to stop.

    Attributes
    ----------
    heard : list of lists of (number of the question, Reply)
        Of each client, in order.
    """

    def __init__(
        self, service: Service, asked: list[tuple[str, str, bytes | None]], count: int = _CLIENTS
    ) -> None:
        self.heard: list[list[tuple[int, Reply]]] = [[] for _ in range(count)]
        self._service, self._asked = service, asked
        self._end = threading.Event()

    def __enter__(self) -> Clients:
        self._pool = concurrent.futures.ThreadPoolExecutor(len(self.heard))
        self._running = [self._pool.submit(self._ask, number) for number in range(len(self.heard))]
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._pool.shutdown()
        for client in self._running:
            client.result()

    def _ask(self, number: int) -> None:
        drawn = random.Random(number)
        connection = http.client.HTTPConnection(HOST, self._service.port, timeout=120)
        with contextlib.closing(connection):
            while not self._end.is_set():
                question = drawn.randrange(len(self._asked))
                method, target, body = self._asked[question]
                reply = ask(connection, method, target, {"Content-Type": "application/json"}, body)
                self.heard[number].append((question, reply))
                time.sleep(0.02)  # what runs underneath wants to go on, too


def moods(clients: Clients, old: list[object], new: list[object]) -> list[str]:
    """Of each client, in order: o for a wholly old answer, n for a wholly new one; else what it is."""
    told = []
    for heard in clients.heard:
        line = ""
        for question, reply in heard:
            answer = reply.json() if reply.status == 200 else None
            if answer is not None and answer == old[question]:
                line += "o"
            elif answer is not None and answer == new[question]:
                line += "n"
            else:
                line += f"[{question}: {reply.status} {reply.body[:300]!r}]"
        told.append(line)
    return told


def put(new: Path, live: Path, name: str) -> None:
    """As the stages write: whole, under another name, then renamed."""
    target = live / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(new / name, target.with_name(f".{target.name}.tmp"))
    target.with_name(f".{target.name}.tmp").replace(target)


def run_as_dvc_does(new: Path, live: Path, pause: float) -> None:
    """A change of params.yaml by an editor that writes in place, then what a run removes and writes."""
    text = (new / "params.yaml").read_text()
    (live / "params.yaml").write_text(text[: len(text) // 2])
    time.sleep(pause)
    (live / "params.yaml").write_text(text)
    time.sleep(pause)
    for path in (live / "data/features/net").iterdir():
        path.unlink()
        time.sleep(pause / 4)
    (live / "data/features/net").rmdir()
    for name in ("train.h5", "test.h5", "extraction.json"):
        time.sleep(pause)
        put(new, live, f"data/features/net/{name}")


def expected(folder: Path, place: Path, asked: list[tuple[str, str, bytes | None]]) -> list[object]:
    with running(folder, place / "log of another", "--rate", "0") as service:
        return answers_of(service, asked)


def test_a_run_underneath_gives_answers_that_are_wholly_old_or_wholly_new(
    service: Service, changed: Path, tmp_path: Path
) -> None:
    asked = questions(service.folder)
    old, new = answers_of(service, asked), expected(changed, tmp_path, asked)
    assert all(one != other for one, other in zip(old, new, strict=True))
    with Clients(service, asked) as clients:
        time.sleep(1)
        run_as_dvc_does(changed, service.folder, pause=0.7)
        assert wait_for(lambda: service.get(asked[0][1]).json() == new[0])
        time.sleep(0.5)
    told = moods(clients, old, new)
    print(f"{sum(map(len, told))} answers, {''.join(told).count('o')} old, {''.join(told).count('n')} new")
    assert [line for line in told if "[" in line] == []
    assert "o" in "".join(told)
    assert "n" in "".join(told)
    # one connection is answered by one process: what is new stays new
    assert [line for line in told if "no" in line] == []
    assert answers_of(service, asked) == new
    assert "Traceback" not in service.log


def test_no_answer_mixes_two_states_however_fast_they_change(
    service: Service, project: Path, changed: Path, tmp_path: Path
) -> None:
    asked = questions(service.folder)
    old, new = answers_of(service, asked), expected(changed, tmp_path, asked)
    with Clients(service, asked) as clients:
        for number in range(12):
            run_as_dvc_does(project if number % 2 else changed, service.folder, pause=0.1)
        assert wait_for(lambda: service.get(asked[0][1]).json() == old[0])
    assert [line for line in moods(clients, old, new) if "[" in line] == []


def test_old_states_are_let_go(service: Service, project: Path, changed: Path) -> None:
    answers_of(service, questions(service.folder))
    before = service.memory()
    for number in range(10):
        state = service.get("/api/store").json()["state"]
        run_as_dvc_does(project if number % 2 else changed, service.folder, pause=0.05)
        assert wait_for(lambda now=state: service.get("/api/store").json()["state"] != now)
        answers_of(service, questions(service.folder))
    assert wait_for(lambda: "(deleted)" not in mapped_features(service))
    assert service.memory() <= 1.2 * before


def mapped_features(service: Service) -> str:
    lines = Path(f"/proc/{service.process.pid}/maps").read_text().splitlines()
    return "\n".join(line for line in lines if "/features/" in line)


@pytest.mark.parametrize("harm", ["cut", "turned", "no params", "no features", "nothing"])
def test_what_cannot_be_read_leaves_the_old_answers_until_it_is_mended(
    service: Service, changed: Path, tmp_path: Path, harm: str
) -> None:
    asked, live = questions(service.folder), service.folder
    old, new = answers_of(service, asked), expected(changed, tmp_path, asked)
    path = live / "data/features/net/test.h5"
    whole = (changed / "data/features/net/test.h5").read_bytes()
    if harm in ("cut", "turned"):
        bad = bytearray(whole[: len(whole) // 2] if harm == "cut" else whole)
        if harm == "turned":
            bad[60:400] = bytes(340)
        path.with_name("new").write_bytes(bad)
        path.with_name("new").replace(path)
    elif harm == "no params":
        (live / "params.yaml").write_text("dataset: {name: toy, kind: nothing}\nmodels: [")
    elif harm == "no features":
        shutil.rmtree(live / "data/features")
    else:
        shutil.rmtree(live / "data")
        (live / "params.yaml").unlink()
    for _ in range(8):
        assert answers_of(service, asked) == old
        time.sleep(0.3)
    assert service.get("/healthz").status == 200
    shutil.copytree(changed, live, dirs_exist_ok=True, copy_function=copy_by_rename)
    assert wait_for(lambda: service.get(asked[0][1]).json() == new[0])
    assert answers_of(service, asked) == new
    assert "Traceback" not in service.log


def copy_by_rename(source: str, target: str) -> None:
    shutil.copy2(source, f"{target}.tmp")
    Path(f"{target}.tmp").replace(target)


def test_an_answer_that_is_known_is_not_sent_again_until_the_project_changes(
    service: Service, changed: Path
) -> None:
    first = service.get(_ASKED)
    tag = first.headers["etag"]
    known = service.get(_ASKED, If_None_Match=tag)
    assert (known.status, known.body) == (304, b"")
    for other in (
        _ASKED.replace("k=5", "k=6"),
        _ASKED + "&metric=l2",
        _ASKED + "&class=cat",
        _ASKED.replace("3", "4"),
    ):
        assert service.get(other, If_None_Match=tag).status == 200, other
    run_as_dvc_does(changed, service.folder, pause=0.05)
    assert wait_for(lambda: service.get("/api/store").json()["state"] != first.json()["state"])
    again = service.get(_ASKED, If_None_Match=tag)
    assert again.status == 200
    assert again.headers["etag"] != tag


def test_an_image_that_was_changed_is_not_shown_for_the_one_that_was_asked(service: Service) -> None:
    path = service.folder / "data/raw/toy/000005.png"
    shown, small = service.get("/api/images/000005"), service.get("/api/images/000005/thumb?size=64")
    assert (shown.status, small.status) == (200, 200)
    assert shown.body == path.read_bytes()
    shutil.copy(service.folder / "data/raw/toy/000006.png", path)
    assert service.get("/api/images/000005").status == 404
    assert service.get("/api/images/000005/thumb?size=256").status == 404
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert service.get("/api/images/000005").status == 404
    path.unlink()
    os.mkfifo(path)  # a pipe that nobody writes to
    assert service.get("/api/images/000005").status == 404
    assert service.get(_ASKED).status == 200
