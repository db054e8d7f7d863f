"""The members of a tar by its headers: as the standard library finds them, and what is refused."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tars import write_tar

from pool5.datasets.kinds.tar_index import members
from pool5.errors import UserError

LONG = (
    "/".join(["a long folder of many words " * 3] * 4) + "/image.jpg"
)  # no form has room for it in a header
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=130)


def found(data: bytes) -> list[tuple[str, bytes]]:
    """Each file with the bytes that are at its place."""
    read = members(io.BytesIO(data), "x.tar")
    return [(m.name, data[m.offset : m.offset + m.length]) for m in read if m.is_file]


def as_tarfile_has_it(data: bytes) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(m.name, tar.extractfile(m).read()) for m in tar if m.isreg()]


def written(tmp_path: Path, files: dict[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    write_tar(tmp_path / "x.tar", files, form)
    return (tmp_path / "x.tar").read_bytes()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_are_where_the_library_finds_them(tmp_path, form):
    files = {"a/1.jpg": b"x" * 700, "a/empty": b"", "b" * 90 + "/" + "c" * 90: b"y" * 512, "ä/猫.jpg": b"z"}
    data = written(tmp_path, files, form)
    assert found(data) == as_tarfile_has_it(data) == list(files.items())


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@given(files=st.dictionaries(NAMES, st.binary(max_size=1200), max_size=6))
def test_any_names_and_sizes_are_found_as_the_library_finds_them(form, files):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as tar:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    data = target.getvalue()
    theirs = as_tarfile_has_it(data)
    # the library takes a `/` from the end of a name that its headers have, and calls it a folder or a file
    assert [(n, c) for n, c in found(data) if not n.endswith("/")] == [
        (n, c) for n, c in theirs if n in files and not n.endswith("/")
    ]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_whole(tmp_path, form):
    assert found(written(tmp_path, {LONG: b"x"}, form)) == [(LONG, b"x")]


@pytest.mark.parametrize("form", ["v7", "ustar", "gnu", "oldgnu", "posix"])
def test_every_form_of_gnu_tar_is_read(tmp_path, form):
    if shutil.which("tar") is None:
        pytest.skip("no program tar here")
    (tmp_path / "in/a").mkdir(parents=True)
    (tmp_path / "in/a/1.jpg").write_bytes(b"one")
    (tmp_path / "in/a/2.jpg").write_bytes(b"two" * 500)
    subprocess.run(
        ["tar", f"--format={form}", "--sort=name", "-cf", "x.tar", "-C", "in", "."], cwd=tmp_path, check=True
    )
    data = (tmp_path / "x.tar").read_bytes()
    assert found(data) == [("./a/1.jpg", b"one"), ("./a/2.jpg", b"two" * 500)]


def test_links_say_what_they_lead_to_and_folders_are_left_out(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/1.jpg").write_bytes(b"one")
    (tmp_path / "in/2.jpg").hardlink_to(tmp_path / "in/1.jpg")
    (tmp_path / "in/3.jpg").symlink_to("1.jpg")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("", "1.jpg", "2.jpg", "3.jpg"):
            tar.add(tmp_path / "in" / name, f"in/{name}", recursive=False)
    with (tmp_path / "x.tar").open("rb") as file:
        one, two, three = members(file, "x.tar")
    assert (one.name, one.is_file) == ("in/1.jpg", True)
    assert (two.name, two.is_file, two.is_hard, two.target) == ("in/2.jpg", False, True, "in/1.jpg")
    assert (three.name, three.is_file, three.is_hard, three.target) == ("in/3.jpg", False, False, "1.jpg")


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_size_above_eight_gigabytes_is_read(form):
    class Large(io.BytesIO):  # as if all the bytes were there
        def seek(self, at: int, whence: int = 0) -> int:
            return 1 << 40 if whence == io.SEEK_END else super().seek(at, whence)

    header = tarfile.TarInfo("large.jpg")
    header.size = 9 << 30
    assert next(members(Large(header.tobuf(form)), "x.tar")).length == 9 << 30


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: data[:700], "cut short within 'a.jpg'"),
        (lambda data: data[:1300], "damaged: no header of a member at byte 1024"),
        (lambda data: data[:1024] + b"x" + data[1025:], "damaged: no header of a member at byte 1024"),
        (lambda data: b"hello" * 300, "no tar"),
        (gzip.compress, r"compressed \(gzip\)"),
        (lambda data: data + data, "something follows its end, at byte"),
        (lambda data: data.replace(b"a.jpg\0", b"b.jpg\0", 1), "no tar"),
    ],
)
def test_what_is_no_whole_tar_is_told_in_one_line(tmp_path, spoil, told):
    data = written(tmp_path, {"a.jpg": b"x" * 300, "b.jpg": b"y" * 300})
    with pytest.raises(UserError, match=told) as error:
        found(spoil(data))
    assert "x.tar" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_archive_without_its_end_mark_is_whole_all_the_same(tmp_path):
    data = written(tmp_path, {"a.jpg": b"x" * 300})
    assert found(data[:1024]) == [("a.jpg", b"x" * 300)]
    assert found(b"") == []
    assert found(bytes(10240)) == []


def test_a_file_without_its_holes_is_refused(tmp_path):
    if shutil.which("tar") is None:
        pytest.skip("no program tar here")
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(1 << 20)
    for form in ("gnu", "posix"):
        subprocess.run(["tar", f"--format={form}", "-cSf", "x.tar", "a.jpg"], cwd=tmp_path, check=True)
        with pytest.raises(UserError, match="--sparse"):
            found((tmp_path / "x.tar").read_bytes())


@given(data=st.binary(min_size=1, max_size=3000), at=st.integers(0, 2500))
def test_no_bytes_do_more_than_be_told_in_a_line(data, at):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        header = tarfile.TarInfo(LONG)
        header.size = 5
        tar.addfile(header, io.BytesIO(b"12345"))
    spoiled = whole.getvalue()[:at] + data + whole.getvalue()[at + len(data) :]
    for content in (data, spoiled):
        try:
            found(content)
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most bytes are refused, some are not
