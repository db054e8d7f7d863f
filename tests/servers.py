"""Servers on this machine to read from: one that speaks S3 (moto's), and a web server that misbehaves."""

from __future__ import annotations

import collections
import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest

from pool5.files import remote


class Bucket:
    """A bucket of the S3 server; `client` is boto3's, and `settings` are the environment's."""

    settings: dict[str, str]

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name
        client.create_bucket(Bucket=name)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def __str__(self) -> str:
        return f"s3://{self.name}"


class Web:
    """A web server of `files` ({path: bytes}); the other attributes say how it misbehaves.

    Attributes
    ----------
    seconds : float
        Each answer waits for so long.
    busy : {path: int}
        Answers with `status` so many times, and then as it should.
    cut : {path: int}
        So many times half of the body is sent, and the connection closed.
    ranges : bool
        Whether parts are given.
    asked : list of str
        `<method> <path>` of each request.
    at_once, most : int
        Requests that are being answered, and the most that were.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.seconds, self.status, self.ranges = 0.0, 503, True
        self.busy: collections.Counter[str] = collections.Counter()
        self.cut: collections.Counter[str] = collections.Counter()
        self.asked: list[str] = []
        self.at_once = self.most = 0
        self.lock = threading.Lock()
        self.url = ""

    def __str__(self) -> str:
        return self.url

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(request.path.lstrip("/"))
        with self.lock:
            self.asked.append(f"{request.command} {path}")
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            time.sleep(self.seconds)
            if self._takes(self.busy, path):
                request.send_error(self.status)
            elif path not in self.files:
                request.send_error(404)
            else:
                self._send(request, path)
        finally:
            with self.lock:
                self.at_once -= 1

    def _takes(self, counter: collections.Counter[str], path: str) -> bool:
        with self.lock:
            counter[path] -= 1
            return counter[path] >= 0

    def _send(self, request: BaseHTTPRequestHandler, path: str) -> None:
        data, wanted = self.files[path], request.headers.get("Range", "").removeprefix("bytes=")
        status = 200
        if wanted and self.ranges:
            first, last = (int(number) for number in wanted.split("-"))
            if first >= len(data):
                return request.send_error(416)
            status, data = 206, data[first : last + 1]
        request.send_response(status)
        request.send_header("Content-Length", str(len(data)))
        request.send_header("ETag", f'"{hash(self.files[path]):x}"')
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(data[: len(data) // 2] if self._takes(self.cut, path) else data)
            request.close_connection |= self.cut[path] >= 0
        return None


@contextlib.contextmanager
def web_server() -> Iterator[Web]:
    served = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.answer(self)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection of an earlier test, and short waits between tries."""
    monkeypatch.setattr(remote, "_WAIT", 0.01)
    monkeypatch.setattr(remote, "_opened", {})


@pytest.fixture
def web(fresh: None) -> Iterator[Web]:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed: nothing is read from web servers")
    with web_server() as served:
        yield served


class S3:
    """The server that speaks S3, on this machine; what it holds outlives a stop.

    Attributes
    ----------
    settings : {name: value}
        Of the environment that leads to it, as a user's would.
    client : boto3's
    """

    def __init__(self, server: Any) -> None:
        import boto3

        self._server = server
        server.start()
        host, port = server.get_host_and_port()
        server._port = port  # the same when it is started again
        keys = {"aws_access_key_id": "id", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        self.client = boto3.session.Session(**keys).client("s3", endpoint_url=f"http://{host}:{port}")
        self.settings = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Nothing answers in this context."""
        self._server.stop()
        try:
            yield
        finally:
            self._server.start()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    pytest.importorskip("s3fs", reason="s3fs is not installed: nothing is read from buckets")
    moto = pytest.importorskip("moto.server", reason="moto is not installed: there is no bucket to read from")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    yield S3(server)
    server.stop()


@pytest.fixture
def bucket(s3: S3, fresh: None, monkeypatch: pytest.MonkeyPatch, request: Any) -> Bucket:
    """A bucket of this test's own; the environment leads to it."""
    for name, value in s3.settings.items():
        monkeypatch.setenv(name, value)
    made = Bucket(s3.client, f"bucket-{abs(hash(request.node.nodeid))}")
    made.settings = s3.settings
    return made
