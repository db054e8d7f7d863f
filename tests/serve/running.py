"""A service in a process of its own, as a user starts it, and a client that may be as rude as it likes."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
_START, _ANSWER = 60.0, 60.0  # seconds; far more than it takes, for machines that others use as well


@dataclasses.dataclass(frozen=True)
class Reply:
    """What came back; names of headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body, parse_constant=_refuse)

    @property
    def type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


class Service:
    """A running `pool5 serve`."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.folder, self.process, self.port, self._log = folder, process, port, log

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def ask(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Reply:
        """One request on a connection of its own; `target` is sent as it stands."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_ANSWER)
        with contextlib.closing(connection):
            return ask(connection, method, target, headers, body)

    def get(self, target: str, **headers: str) -> Reply:
        return self.ask("GET", target, {name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, body: bytes | object, type_: str = "application/json", query: str = "") -> Reply:
        """Ask for neighbors with a body."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", f"/api/neighbors{query}", {"Content-Type": type_}, data)

    def connect(self, seconds: float = _ANSWER) -> socket.socket:
        return socket.create_connection((HOST, self.port), seconds)

    def send(self, data: bytes, seconds: float = _ANSWER) -> bytes:
        """What comes back to these bytes until the service closes; b'' where it closes at once."""
        with self.connect(seconds) as connection:
            # what it does not want to read any more it need not read
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            return received(connection)

    def workers(self) -> list[int]:
        """The processes that it started."""
        return children_of(self.process.pid)

    def memory(self) -> int:
        """Bytes that it takes for itself: not those of files that are mapped, which the system takes back."""
        return _own_bytes(self.process.pid)

    def open_files(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def threads(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/task").iterdir())

    def process_environment(self) -> dict[str, str]:
        """What it was started with."""
        raw = Path(f"/proc/{self.process.pid}/environ").read_text()
        return dict(pair.split("=", 1) for pair in raw.split("\0") if "=" in pair)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        if self.lives:
            self.process.send_signal(how)
        return self.process.wait(_ANSWER)

    def wait_until_it_answers(self) -> None:
        end = time.monotonic() + _START
        while time.monotonic() < end:
            assert self.lives, self.log
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.get("/healthz").status == 200:
                    return
            time.sleep(0.05)
        raise TimeoutError(self.log)


@contextlib.contextmanager
def running(
    folder: Path, log: Path, *options: str, port: int | None = None, **environment: str
) -> Iterator[Service]:
    """A service of the project in a folder; killed at the end, where it still lives."""
    port = port or free_port()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "pool5", "serve", "--port", str(port), *options],
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    service = Service(folder, process, port, log)
    try:
        service.wait_until_it_answers()
        yield service
    finally:
        workers = service.workers() if service.lives else []
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        for number in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Reply:
    """One request on a connection that may be used again."""
    connection.request(method, target, body, headers or {})
    answer = connection.getresponse()
    data = answer.read()
    return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, data)


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, or breaks off."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def status_of(answer: bytes) -> int | None:
    """The status of a raw answer; None where there is none."""
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def children_of(number: int) -> list[int]:
    """The processes below another, from Linux' /proc."""
    direct = [
        int(line)
        for task in Path(f"/proc/{number}/task").iterdir()
        for line in (task / "children").read_text().split()
    ]
    return [*direct, *(below for child in direct for below in children_of(child))]


def _own_bytes(number: int) -> int:
    status = Path(f"/proc/{number}/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", status)[1])


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
