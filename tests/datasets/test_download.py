"""Against a real HTTP server on this machine, which also serves broken archives."""

from __future__ import annotations

import hashlib
import http.server
import io
import socket
import tarfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from listed import listed

from pool5.datasets.download import Archive, download_devkit, voc_archives
from pool5.errors import UserError

unpacks = pytest.mark.skipif(
    not hasattr(tarfile, "data_filter"), reason="tarfile has no filters before Python 3.11.4"
)


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; for a name in `cut`, only that share of the bytes that it announces."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, float] = {}
        self.fetched: Counter[str] = Counter()

    def archive(self, name: str, data: bytes) -> Archive:
        self.files[name] = data
        url = f"http://127.0.0.1:{self.server_port}/{name}"
        return Archive(name, url, hashlib.md5(data).hexdigest())


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name not in self.server.files:
            self.send_error(404)
            return
        self.server.fetched[name] += 1
        data = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: int(len(data) * self.server.cut.get(name, 1))])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def devkit(split: str, image_id: str) -> bytes:
    base = "VOCdevkit/VOC2007"
    return tar(
        {
            f"{base}/ImageSets/Main/{split}.txt": f"{image_id}\n".encode(),
            f"{base}/ImageSets/Main/cat_{split}.txt": f"{image_id}  1\n".encode(),
            f"{base}/JPEGImages/{image_id}.jpg": b"\xff\xd8" + bytes(200_000),
        }
    )


@pytest.fixture
def archives(server) -> list[Archive]:
    return [
        server.archive("trainval.tar", devkit("trainval", "000005")),
        server.archive("test.tar", devkit("test", "000001")),
    ]


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@unpacks
def test_both_archives_of_a_year_become_one_devkit(archives, tmp_path):
    download_devkit(tmp_path / "raw/voc2007", archives, tmp_path / "downloads")
    listings = listed("voc", tmp_path / "raw/voc2007", "trainval", "test")
    assert [part.ids for part in listings.values()] == [("000005",), ("000001",)]
    assert tree(tmp_path / "downloads") == ["test.tar", "trainval.tar"]
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["voc2007"]


@unpacks
def test_an_archive_that_is_there_already_is_not_fetched(server, archives, tmp_path):
    for archive in archives:
        (tmp_path / archive.filename).write_bytes(server.files[archive.filename])
    download_devkit(tmp_path / "root", archives, tmp_path)
    assert not server.fetched


@unpacks
def test_a_truncated_archive_is_refused_and_only_that_one_is_fetched_again(server, archives, tmp_path):
    server.cut["test.tar"] = 0.5
    with pytest.raises(UserError, match=r"test\.tar: cannot fetch .*IncompleteRead.*run again") as caught:
        download_devkit(tmp_path / "root", archives, tmp_path / "downloads")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "root").exists()
    server.cut.clear()
    server.fetched.clear()
    download_devkit(tmp_path / "root", archives, tmp_path / "downloads")
    assert set(server.fetched) == {"test.tar"}
    assert (tmp_path / "root/VOCdevkit/VOC2007/ImageSets/Main/test.txt").is_file()


def test_another_file_under_the_archives_name_is_refused(server, archives, tmp_path):
    server.files["trainval.tar"] = devkit("trainval", "666666")
    with pytest.raises(UserError, match=r"wrong md5.*put it there as .*trainval\.tar \(md5 [0-9a-f]{32}\)"):
        download_devkit(tmp_path / "root", archives, tmp_path / "downloads")
    assert not (tmp_path / "root").exists()


@unpacks
def test_an_archive_that_would_write_outside_of_the_root_is_refused(server, tmp_path):
    evil = server.archive("evil.tar", tar({"../../escaped.txt": b"out"}))
    with pytest.raises(UserError, match=r"evil\.tar: not a sound archive"):
        download_devkit(tmp_path / "a/b/root", [evil], tmp_path / "downloads")
    assert tree(tmp_path) == ["downloads/evil.tar"]


@unpacks
def test_a_file_with_the_right_md5_that_is_no_archive_leaves_nothing_behind(server, archives, tmp_path):
    nonsense = server.archive("nonsense.tar", b"no archive" * 500)
    with pytest.raises(UserError, match=r"nonsense\.tar: not a sound archive .*; remove it and run again"):
        download_devkit(tmp_path / "raw/root", [*archives, nonsense], tmp_path / "downloads")
    assert not list((tmp_path / "raw").iterdir())


def test_an_address_that_is_gone(server, tmp_path):
    gone = Archive("gone.tar", f"http://127.0.0.1:{server.server_port}/gone.tar", "0" * 32)
    with pytest.raises(UserError, match=r"gone\.tar: cannot fetch http.*Not Found"):
        download_devkit(tmp_path / "root", [gone], tmp_path / "downloads")


def test_without_a_network_one_line_says_which_file_to_put_where(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    archive = Archive(
        "VOCtest.tar", f"http://127.0.0.1:{port}/VOCtest.tar", "b6e924de25625d8de591ea690078ad9f"
    )
    with pytest.raises(UserError) as caught:
        download_devkit(tmp_path / "root", [archive], tmp_path / "downloads")
    message = str(caught.value)
    assert "\n" not in message
    assert f"put it there as {tmp_path / 'downloads/VOCtest.tar'} (md5 b6e924de" in message
    assert not (tmp_path / "root").exists()


def test_torchvision_knows_the_archives_of_voc_2007_by_the_md5_that_we_do():
    assert [(archive.filename, archive.md5) for archive in voc_archives("voc2007")] == [
        ("VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64"),
        ("VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f"),
    ]
    assert [archive.filename for archive in voc_archives("voc2012")] == ["VOCtrainval_11-May-2012.tar"]
