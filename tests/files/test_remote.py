from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import socket
import subprocess
import sys

import pytest

from pool5.files import remote
from pool5.files.remote import list_remote, open_remote, problem_with, read_remote, stat_remote
from pool5.files.remote_errors import Unreachable

BYTES = bytes(range(256)) * 40


def told(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


class TestWeb:
    def test_a_file_and_a_part_of_it_are_read(self, web):
        web.files["a b/é.jpg"] = BYTES
        assert read_remote(f"{web}/a b/é.jpg") == BYTES
        assert read_remote(f"{web}/a b/é.jpg", (100, 50)) == BYTES[100:150]

    def test_no_more_is_read_than_may_be(self, web):
        web.files |= {"large": BYTES, "empty": b""}
        assert read_remote(f"{web}/large", most=10) == BYTES[:11]
        assert read_remote(f"{web}/large", most=10**9) == BYTES
        assert read_remote(f"{web}/empty", most=10) == b""

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_what_passes_is_tried_again(self, web, status):
        web.files["x"], web.busy["x"], web.status = BYTES, 2, status
        assert read_remote(f"{web}/x") == BYTES
        assert web.asked == ["GET x"] * 3

    def test_a_body_that_is_cut_short_is_asked_for_again(self, web):
        web.files["x"], web.cut["x"] = BYTES, 2
        assert read_remote(f"{web}/x") == BYTES
        web.cut["x"] = 1
        assert read_remote(f"{web}/x", (0, 5000)) == BYTES[:5000]

    def test_what_does_not_pass_stops_in_one_line(self, web):
        web.files["x"], web.busy["x"] = BYTES, 99
        with pytest.raises(
            Unreachable, match=r"/x: the server answers 503, at 7 tries; look at the net"
        ) as error:
            read_remote(f"{web}/x")
        told(error)
        web.busy["x"], web.cut["x"] = 0, 99
        with pytest.raises(Unreachable, match=r"/x: the answer is cut short, at 7 tries"):
            read_remote(f"{web}/x")

    @pytest.mark.parametrize(
        ("status", "kind", "words"),
        [
            (404, FileNotFoundError, "no such file"),
            (403, PermissionError, "forbidden"),
            (451, OSError, "451"),
        ],
    )
    def test_what_a_server_says_of_one_file_is_not_tried_again(self, web, status, kind, words):
        web.files["x"], web.busy["x"], web.status = BYTES, 99, status
        with pytest.raises(kind, match=words):
            read_remote(f"{web}/x")
        assert web.asked == ["GET x"]

    def test_credentials_that_are_wanted_are_told(self, web):
        web.files["x"], web.busy["x"], web.status = BYTES, 99, 401
        with pytest.raises(Unreachable, match=r"the credentials are refused \(401\); put a line .* ~/.netrc"):
            read_remote(f"{web}/x")

    def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(self, web, monkeypatch):
        monkeypatch.setattr(remote, "_READ_SECONDS", 0.05)
        web.files["x"], web.seconds = BYTES, 0.5
        with pytest.raises(Unreachable, match=r"/x: no answer in time, at 2 tries"):
            read_remote(f"{web}/x", tries=2)

    def test_a_server_that_is_not_there_is_told(self, fresh):
        pytest.importorskip("aiohttp")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        with pytest.raises(Unreachable, match=r"/x: .*[Cc]onnect.*, at 7 tries; look at the network"):
            read_remote(address)
        with pytest.raises(Unreachable, match=r"/x: .*[Cc]onnect"), open_remote(address) as file:
            file.read()  # fsspec calls it missing

    def test_a_server_without_parts_is_told_and_not_believed(self, web):
        web.files["x"], web.ranges = BYTES, False
        assert read_remote(f"{web}/x", most=10**9) == BYTES
        with pytest.raises(Unreachable, match=r"/x: the server gives whole files alone"):
            read_remote(f"{web}/x", (100, 50))

    def test_a_part_behind_the_end_is_no_part(self, web):
        web.files["x"] = BYTES
        for span in ((len(BYTES) - 10, 20), (len(BYTES) + 5, 20)):
            with pytest.raises(OSError, match="the file ends before"):
                read_remote(f"{web}/x", span)

    def test_a_web_server_has_a_stamp_of_each_file_and_no_list(self, web):
        web.files["x"] = BYTES
        size, before = stat_remote(f"{web}/x")
        web.files["x"] = BYTES[::-1]
        assert (size, stat_remote(f"{web}/x")[0]) == (len(BYTES), len(BYTES))
        assert before != stat_remote(f"{web}/x")[1]
        with pytest.raises(FileNotFoundError):
            stat_remote(f"{web}/y")
        web.busy["x"] = 2
        assert stat_remote(f"{web}/x")[0] == len(BYTES)
        assert not remote.has_listing(str(web))

    def test_a_file_is_read_here_and_there_by_blocks(self, web, monkeypatch):
        monkeypatch.setattr(remote, "_BLOCK", 1000)
        web.files["x"], web.busy["x"] = BYTES, 1
        file = open_remote(f"{web}/x")
        file.seek(-300, os.SEEK_END)
        assert file.read(100) == BYTES[-300:-200]
        asked = len(web.asked)
        assert file.read() == BYTES[-200:]
        assert len(web.asked) == asked
        file.seek(1990)
        assert (file.read(20), file.tell()) == (BYTES[1990:2010], 2010)


class TestBucket:
    def test_a_file_and_a_part_of_it_are_read_by_one_request(self, bucket):
        bucket.put("a b/é#?[1].jpg", BYTES)
        bucket.put("empty", b"")
        assert read_remote(f"{bucket}/a b/é#?[1].jpg") == BYTES
        assert read_remote(f"{bucket}/a b/é#?[1].jpg", (100, 50)) == BYTES[100:150]
        assert read_remote(f"{bucket}/a b/é#?[1].jpg", most=10) == BYTES[:11]
        assert read_remote(f"{bucket}/empty", most=10) == b""
        with pytest.raises(OSError, match="the file ends before"):
            read_remote(f"{bucket}/empty", (3, 4))

    def test_a_folder_is_listed_with_sizes_and_etags(self, bucket):
        for key in ("in/a.jpg", "in/b/c.jpg", "in/b/", "inside.jpg", "other/d.jpg"):
            bucket.put(key, b"" if key.endswith("/") else key.encode())
        before = list_remote(f"{bucket}/in")
        assert {path: size for path, (size, _) in before.items()} == {"a.jpg": 8, "b/c.jpg": 10}
        assert before["a.jpg"] == stat_remote(f"{bucket}/in/a.jpg")
        assert len(list_remote(str(bucket))) == 4
        bucket.put("in/a.jpg", b"12345678")
        assert list_remote(f"{bucket}/in")["a.jpg"] != before["a.jpg"]

    def test_more_files_than_a_page_are_listed(self, bucket, monkeypatch):
        monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "5")
        for number in range(12):
            bucket.put(f"many/{number}", b"")
        assert len(list_remote(f"{bucket}/many")) == 12

    def test_what_is_not_there_is_told(self, bucket):
        with pytest.raises(FileNotFoundError, match="no such file"):
            read_remote(f"{bucket}/nothing")
        with pytest.raises(FileNotFoundError, match="no such file"):
            stat_remote(f"{bucket}/nothing")
        assert list_remote(f"{bucket}/nothing") == {}
        for act in (read_remote, list_remote, stat_remote):
            with pytest.raises(Unreachable, match=r"s3://no-such-bucket/x: no such bucket; mend the address"):
                act("s3://no-such-bucket/x")
        with pytest.raises(Unreachable, match=r"s3://n_/x: .*[Bb]ucket") as error:
            read_remote("s3://n_/x")
        told(error)

    def test_missing_credentials_are_told(self, bucket, monkeypatch):
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(Unreachable, match=r"there are no credentials; set AWS_ACCESS_KEY_ID .*ANON=true"):
            read_remote(f"{bucket}/x")

    def test_a_large_file_is_read_here_and_there(self, bucket):
        bucket.put("x", BYTES)
        file = open_remote(f"{bucket}/x")
        file.seek(5000)
        assert file.read(3) == BYTES[5000:5003]


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_threads_read_at_once_and_processes_after_their_parent_has(bucket, web, start):
    bucket.put("x", b"x")
    web.files["x"] = b"w"
    addresses = [f"{bucket}/x", f"{web}/x"] * 4
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert b"".join(pool.map(read_remote, addresses)) == b"xw" * 4
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context(start)) as pool:
        assert b"".join(pool.map(read_remote, addresses, timeout=60)) == b"xw" * 4


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "local://x",
        "memory://x",
        "simplecache::s3://b/x",
        "zip://a::s3://b/x",
        "ftp://server/x",  # fsspec's asks for more than an address
        "what://x",
    ],
)
def test_what_is_not_far_away_is_refused(address):
    assert remote.is_remote(address)
    assert "is not read; s3://" in problem_with(address)
    for act in (read_remote, stat_remote, list_remote, open_remote):
        with pytest.raises(Unreachable, match="is not read; s3://"):
            act(address)


def test_credentials_in_an_address_are_refused_and_not_told():
    assert not problem_with("abfs://container@account.dfs.core.windows.net/x")
    with pytest.raises(Unreachable, match="credentials belong into the environment") as error:
        read_remote("https://me:secret@example.com/x")
    assert "secret" not in told(error)


def test_a_package_that_is_missing_is_named():
    pytest.importorskip("fsspec")
    code = """
import sys
from pool5.files.remote import Unreachable, read_remote
sys.modules |= dict.fromkeys(["s3fs", "gcsfs", "aiohttp", "adlfs"])
for scheme in ["s3", "gs", "http", "abfs"]:
    try:
        read_remote(f"{scheme}://x/y")
    except Unreachable as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    for scheme, line in zip(["s3", "gs", "http"], lines, strict=False):
        assert line == f"{scheme}://x/y: {scheme}:// needs further packages; pip install 'pool5[{scheme}]'"
    assert "adlfs" in lines[3]
