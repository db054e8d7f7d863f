"""What nobody means well with: the service refuses it in one line, lives on, and is as it was before."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serve.hostile import LAYER, Case, cases, large_png, malformed, picture
from tests.serve.running import HOST, Reply, Service, received, running, status_of

pytest.importorskip("uvicorn", reason="uvicorn is not installed: there is no service")
pytestmark = pytest.mark.slow

_ASKED = f"/api/neighbors{LAYER}&id=000003&k=5"
_SETTLED = 60.0
# what tells of the machine, and what no request may bring forth
_INTERNALS = ("Traceback", "site-packages", "/usr/lib", 'File "', "pipeline/", "root:", "/tmp/")


@dataclasses.dataclass
class Storm:
    """What the service was before all cases, what it answered to them, and what it was afterwards."""

    replies: dict[str, Reply | None]
    memory: tuple[int, int]
    open_files: tuple[int, int]
    threads: tuple[int, int]
    files: tuple[dict[Path, int], dict[Path, int]]
    answers: tuple[object, object]


@pytest.fixture(scope="module")
def service(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Of a project of this module's own; its temporary files go to a folder beside it."""
    place = tmp_path_factory.mktemp("hostile")
    (place / "tmp").mkdir()
    with running(project, place / "log", "--rate", "0", TMPDIR=str(place / "tmp")) as service:
        yield service


@pytest.fixture(scope="module")
def storm(service: Service) -> Storm:
    """All cases, eight at a time."""
    warm(service)
    before = state_of(service)
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        hostile = cases()
        replies = dict(
            zip((case.name for case in hostile), clients.map(put_to(service), hostile), strict=True)
        )
    settle(
        lambda: service.memory() <= 1.1 * before["memory"] and service.open_files() <= before["open_files"]
    )
    after = state_of(service)
    return Storm(replies, **{name: (before[name], after[name]) for name in before})


def warm(service: Service) -> None:
    """Each kind of question, by as many clients as there will be; networks are built, pages compiled."""
    image = picture("JPEG")

    def ask(number: int) -> None:
        service.get(_ASKED)
        service.get("/api/store")
        service.get("/?id=000003")
        service.get(f"/api/images/{number:06d}/thumb")
        service.ask("POST", f"/api/neighbors{LAYER}", {"Content-Type": "image/jpeg"}, image)

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        list(clients.map(ask, range(64)))


def put_to(service: Service) -> Callable[[Case], Reply | None]:
    def put(case: Case) -> Reply | None:
        sent = dict(case.headers)
        if case.body is not None:
            sent.setdefault("Content-Type", case.type)
        try:
            return service.ask(case.method, case.target, sent, case.body)
        except ConnectionError:  # it does not listen to the end of what it refuses
            return None

    return put


def state_of(service: Service) -> dict[str, object]:
    answer = service.get(_ASKED)
    assert answer.status == 200, answer
    return {
        "memory": service.memory(),
        "open_files": service.open_files(),
        "threads": service.threads(),
        "files": {path: path.stat().st_mtime_ns for path in service.folder.rglob("*") if path.is_file()},
        "answers": answer.json(),
    }


def settle(done: Callable[[], bool]) -> None:
    """Wait until something is so, or no longer."""
    end = time.monotonic() + _SETTLED
    while not done() and time.monotonic() < end:
        time.sleep(0.2)


def wrong_with(reply: Reply) -> str:
    """What is not as it should be in an answer to anything; '' if nothing is."""
    if reply.status >= 500 and (reply.status != 503 or "retry-after" not in reply.headers):
        return f"{reply.status}: {reply.body[:200]!r}"
    if "access-control-allow-origin" in reply.headers:
        return "another site may read it"
    if reply.headers.get("x-content-type-options") != "nosniff":
        return "its type may be guessed"
    if reply.status < 400:
        return ""
    if reply.type != "application/problem+json":
        return f"{reply.status} of type {reply.type!r}: {reply.body[:100]!r}"
    problem = reply.json()
    if not {"type", "title", "status", "detail"} <= set(problem) or problem["status"] != reply.status:
        return f"no problem: {problem}"
    if "\n" in problem["detail"] or len(problem["detail"]) > 2000:
        return f"no line: {problem['detail'][:100]}… of {len(problem['detail'])}"
    if told := [name for name in _INTERNALS if name in problem["detail"]]:
        return f"tells {told}: {problem['detail'][:200]}"
    return ""


def test_every_hostile_request_gets_a_problem_or_an_answer_and_no_internals(storm: Storm) -> None:
    wrong = {name: wrong_with(reply) for name, reply in storm.replies.items() if reply is not None}
    assert {name: what for name, what in wrong.items() if what} == {}
    assert sum(reply is not None and reply.status >= 400 for reply in storm.replies.values()) > 500


def test_only_what_is_too_large_is_not_listened_to(storm: Storm, service: Service) -> None:
    most = service.get("/api/store").json()["limits"]["body_bytes"]
    sent = {case.name: len(case.body or b"") for case in cases()}
    assert [name for name, reply in storm.replies.items() if reply is None and sent[name] <= most] == []


def test_no_file_of_the_machine_is_in_an_answer(storm: Storm) -> None:
    canaries = (b"batch_size: 16", b"root:x:0:")  # of params.yaml and /etc/passwd
    shown = [
        name
        for name, reply in storm.replies.items()
        if reply is not None and any(canary in reply.body for canary in canaries)
    ]
    assert shown == []


def test_the_service_lives_on_and_answers_as_before(storm: Storm, service: Service) -> None:
    assert service.lives
    assert storm.answers[1] == storm.answers[0]


def test_memory_is_back_within_a_fifth(storm: Storm) -> None:
    before, after = storm.memory
    print(f"memory {before / 1e6:.0f} MB before, {after / 1e6:.0f} MB after")
    assert after <= 1.2 * before


def test_no_file_stays_open_and_no_thread_is_left(storm: Storm) -> None:
    assert storm.open_files[1] <= storm.open_files[0] + 2
    assert storm.threads[1] <= storm.threads[0] + 8


def test_nothing_is_written_into_the_project_or_left_beside_it(storm: Storm, service: Service) -> None:
    assert storm.files[1] == storm.files[0]
    temporary = Path(service.process_environment()["TMPDIR"])
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


def test_no_failure_is_in_the_log(storm: Storm, service: Service) -> None:
    assert "Traceback" not in service.log


def test_what_is_no_http_is_refused_or_hung_up_on(service: Service) -> None:
    sent = dict(malformed(f"{HOST}:{service.port}"))
    with concurrent.futures.ThreadPoolExecutor(len(sent)) as clients:  # some are waited for
        heard = dict(zip(sent, clients.map(service.send, sent.values()), strict=True))
    failed = {name: answer[:200] for name, answer in heard.items() if (status_of(answer) or 0) >= 500}
    assert failed == {}
    for told in _INTERNALS:
        assert [name for name, answer in heard.items() if told.encode() in answer] == []
    assert service.get(_ASKED).status == 200


def test_a_question_hidden_in_another_is_not_answered(service: Service) -> None:
    # a length beside chunks, as request smuggling has it: RFC 9112, 6.1
    head = f"POST /api/neighbors{LAYER} HTTP/1.1\r\nHost: {HOST}:{service.port}\r\n".encode()
    hidden = f"GET /healthz HTTP/1.1\r\nHost: {HOST}:{service.port}\r\n\r\n".encode()
    both = head + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden
    assert service.send(both).count(b"HTTP/1.1 ") <= 1


def test_a_body_that_is_too_large_is_refused_before_it_has_come(service: Service) -> None:
    most = service.get("/api/store").json()["limits"]["body_bytes"]
    head = (
        f"POST /api/neighbors{LAYER} HTTP/1.1\r\nHost: {HOST}:{service.port}\r\nContent-Type: image/png\r\n"
    )
    with service.connect() as connection:  # nothing of the body is sent
        connection.sendall(f"{head}Content-Length: {most + 1}\r\n\r\n".encode())
        assert status_of(connection.recv(1 << 16)) == 413
    before = service.memory()
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with service.connect() as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(10 * most >> 20):
                connection.sendall(chunk)
        assert service.memory() < before + 2 * most
    settle(lambda: service.memory() < before + most)
    assert service.memory() < before + most


def test_an_image_of_too_many_pixels_is_refused_by_its_head(service: Service) -> None:
    most = service.get("/api/store").json()["limits"]["pixels"]
    before = service.memory()
    reply = service.post(large_png(most // 1000 + 1, 1001), "image/png", LAYER)
    assert reply.status in (400, 413)
    assert wrong_with(reply) == ""
    assert "pixels" in reply.json()["detail"]
    assert service.memory() < before + most


@contextlib.contextmanager
def slow_clients(service: Service, count: int) -> Iterator[list[socket.socket]]:
    """Half of them never end their head, half never their body."""
    head = f"POST /api/neighbors{LAYER} HTTP/1.1\r\nHost: {HOST}:{service.port}\r\nX: ".encode()
    body = head + b"a\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n\x89PNG"
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(service.connect()) for _ in range(count)]
        for number, client in enumerate(slow):
            client.sendall(body if number % 2 else head)
        yield slow


def test_others_are_answered_while_200_clients_are_slow(service: Service) -> None:
    with slow_clients(service, 200):
        assert [service.get(_ASKED).status for _ in range(10)] == [200] * 10
    settle(lambda: service.open_files() < 60)
    assert service.open_files() < 60


@pytest.mark.long
def test_slow_clients_are_let_go(service: Service) -> None:
    with slow_clients(service, 8) as slow:
        answers = [received(client) for client in slow]  # they time out by themselves after a minute
    assert {status_of(answer) for answer in answers} <= {None, 408}


def test_a_client_that_does_not_read_keeps_nobody_waiting(service: Service) -> None:
    question = f"GET /api/neighbors{LAYER}&id=000003&k=200 HTTP/1.1\r\nHost: {HOST}:{service.port}\r\n\r\n"
    before = service.memory()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(service.connect(2.0))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(TimeoutError):  # it does not take more questions than it can answer
                client.sendall(question.encode() * 5000)
        assert service.get(_ASKED).status == 200
        assert service.memory() < before + (64 << 20)
    settle(lambda: service.memory() <= 1.2 * before)
    assert service.memory() <= 1.2 * before


def test_cancelled_requests_leave_nothing_behind(service: Service) -> None:
    head = f"GET {_ASKED} HTTP/1.1\r\nHost: {HOST}:{service.port}\r\n\r\n".encode()
    image = picture("JPEG")
    post = (
        f"POST /api/neighbors{LAYER} HTTP/1.1\r\nHost: {HOST}:{service.port}\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {len(image)}\r\n\r\n"
    ).encode()
    expected = service.get(_ASKED).json()
    for _ in range(2):
        for number in range(200):
            with service.connect() as client:
                client.sendall([head, head[:40], post + image, post + image[:500]][number % 4])
                if number % 8 < 4:  # a reset rather than an end
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert service.get(_ASKED).json() == expected
        settle(lambda: service.open_files() < 60)
        assert service.open_files() < 60
        assert service.threads() <= 100  # of pools with a bound
    assert "Traceback" not in service.log


def test_a_hundred_clients_at_once_get_what_one_gets(service: Service) -> None:
    targets = [f"/api/neighbors{LAYER}&id={number:06d}&k=7" for number in range(100)]
    alone = [service.get(target).json() for target in targets]
    with concurrent.futures.ThreadPoolExecutor(100) as clients:
        together = list(clients.map(service.get, targets))
    assert [reply.status for reply in together] == [200] * 100
    assert [reply.json() for reply in together] == alone


def test_a_page_of_another_site_may_neither_ask_nor_show(service: Service) -> None:
    for host in (
        "evil.example",
        f"evil.example:{service.port}",
        "127.0.0.1.evil.example",
        "",
        "[::2]",
    ):
        for target in ("/", "/api/store", "/api/images/000003", "/openapi.json"):
            reply = service.ask("GET", target, {"Host": host})
            assert reply.status in (400, 421), (host, target)
            assert wrong_with(reply) == ""
    for host in (f"localhost:{service.port}", f"127.0.0.1:{service.port}", f"LOCALHOST:{service.port}"):
        assert service.ask("GET", "/api/store", {"Host": host}).status == 200
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS", "POST"):
        reply = service.ask(method, "/api/neighbors", asked)
        assert not [name for name in reply.headers if name.startswith("access-control-")]
    shown = service.get("/api/images/000003")
    assert shown.headers["cross-origin-resource-policy"] == "same-origin"


def test_an_image_that_is_also_a_page_runs_nothing(service: Service) -> None:
    shown = service.get("/api/images/000003")
    assert shown.status == 200
    assert shown.type == "image/png"
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in shown.headers["content-security-policy"]


def test_with_a_token_nobody_else_is_answered(project: Path, tmp_path: Path) -> None:
    token = "not-a-secret-but-long-enough-for-one"
    with running(project, tmp_path / "log", POOL5_TOKEN=token) as service:
        for said in (
            "",
            "Bearer",
            "Bearer x",
            f"Basic {token}",
            f"Bearer {token[:-1]}",
            f"Bearer {token}x",
            "Bearer \xff",
        ):
            for target in (
                "/",
                "/api/store",
                _ASKED,
                "/api/images/000003",
                "/metrics",
                "/openapi.json",
                "/nowhere",
            ):
                reply = service.get(target, Authorization=said)
                assert reply.status == 401, (said, target)
                assert "www-authenticate" in reply.headers
        assert service.get(_ASKED, Authorization=f"Bearer {token}").status == 200
        assert token not in service.log


def test_who_asks_too_fast_is_told_when_to_ask_again(project: Path, tmp_path: Path) -> None:
    with running(project, tmp_path / "log", "--rate", "5") as service:
        replies = [service.get(_ASKED) for _ in range(60)]
        late = [reply for reply in replies if reply.status == 429]
        assert late
        assert {wrong_with(reply) for reply in late} == {""}
        time.sleep(float(late[-1].headers["retry-after"]))
        assert service.get(_ASKED).status == 200


def test_an_answer_is_json_by_the_letter(service: Service) -> None:
    # two images that are alike, and a class with few: no NaN, no half of a pair
    for query in ("&id=000003&k=229", "&id=000003&k=2&class=cat", "&id=000003&k=2&metric=l2"):
        json.dumps(service.get(f"/api/neighbors{LAYER}{query}").json(), allow_nan=False)
