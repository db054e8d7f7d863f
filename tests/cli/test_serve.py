from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed: there is no service")


def serve(folder, *options, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pool5", "serve", *options],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextlib.contextmanager
def started(folder, *options, **environment):
    """A running service: its process and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pool5", "serve", "--port", "0", *options],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        port = int(re.search(r":(\d+)/", process.stdout.readline())[1])
        assert status(port, "/healthz") == 200  # the port is open before the line is told
        yield process, port
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()


def status(port, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--host", "0.0.0.0", "--port", "0"], "give --token SECRET as well"),
        (["--host", "::", "--port", "0"], "give --token SECRET as well"),
        (["--host", "192.0.2.1", "--port", "0", "--token", "t"], "give another"),
        (["--host", "no.such.host.invalid", "--token", "t"], "give another"),
        (["--token", " "], "--token is empty"),
        (["--port", "70000"], "--port"),
        (["--rate", "-1"], "--rate"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(project, options, told):
    done = serve(project, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert told in done.stderr


def test_without_features_it_says_how_to_make_them(project, tmp_path):
    (tmp_path / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
    done = serve(tmp_path, "--port", "0")
    assert done.returncode == 2
    assert "nothing is stored; run `dvc repro extract`" in done.stderr


def test_a_token_from_the_environment_is_demanded(project):
    with started(project, "--host", "0.0.0.0", POOL5_TOKEN="s3cret") as (_, port):
        assert status(port, "/api/store") == 401
        assert status(port, "/api/store", Authorization="Bearer s3cret") == 200


def test_nothing_of_torch_is_loaded(project):
    with started(project) as (process, port):
        assert status(port, "/api/neighbors?id=000003") == 200
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "torch" not in maps
        assert "numpy" in maps


@pytest.mark.perf
def test_a_start_takes_at_most_a_second(project, tmp_path):
    # compiled once, as an installed package is
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    times = []
    for _ in range(6):
        begun = time.perf_counter()
        with started(project, **compiled):
            times.append(time.perf_counter() - begun)
    assert min(times[1:]) < 1.0


def test_a_taken_port_is_told(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = serve(project, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "address already in use; give another, or --port 0 for any" in done.stderr
