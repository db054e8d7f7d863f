"""Against a real HTTP server on this machine."""

from __future__ import annotations

import functools
import hashlib
import http.server
import logging
import threading

import pytest

from pool5.errors import UserError
from pool5.files.download import download, has_digest

SHA256 = "sha256:" + hashlib.sha256(b"content").hexdigest()


@pytest.fixture
def url(tmp_path):
    (tmp_path / "served").mkdir()
    (tmp_path / "served/a.bin").write_bytes(b"content")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("digest", [SHA256, SHA256[:15], "md5:" + hashlib.md5(b"content").hexdigest()])
def test_a_file_comes_with_the_digest_it_should_have(url, tmp_path, digest):
    download(f"{url}/a.bin", tmp_path / "new/a.bin", digest)
    assert (tmp_path / "new/a.bin").read_bytes() == b"content"
    assert has_digest(tmp_path / "new/a.bin", digest)


def test_a_file_that_is_there_is_not_fetched(url, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    (tmp_path / "a.bin").write_bytes(b"content")
    download(f"{url}/gone.bin", tmp_path / "a.bin", SHA256)
    assert "fetching" not in caplog.text


def test_a_file_with_another_digest_is_replaced_by_the_right_one_only(url, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(UserError, match=r"a\.bin came broken \(wrong md5, 7 bytes\); .* put it there as"):
        download(f"{url}/a.bin", tmp_path / "a.bin", "md5:0000")
    assert (tmp_path / "a.bin").read_bytes() == b"old"
    download(f"{url}/a.bin", tmp_path / "a.bin", SHA256)
    assert (tmp_path / "a.bin").read_bytes() == b"content"


def test_what_is_not_to_be_had_leaves_no_file(url, tmp_path):
    with pytest.raises(UserError, match=r"^b\.bin: cannot fetch http.*not found.*; run again") as caught:
        download(f"{url}/b.bin", tmp_path / "new/b.bin", SHA256)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "new").iterdir())
