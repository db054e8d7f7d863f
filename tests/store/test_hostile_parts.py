"""Parts and feature files over them that somebody has changed: one line, and no other file is looked into."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pool5.errors import UserError
from pool5.store.feature_file import FeatureFile
from pool5.store.header import FEATURES, PARTED
from pool5.store.layer_parts import PART
from pool5.store.verify import verify_feature_file
from tests.store.parted_file import (
    WIDTH,
    Piece,
    join_anew,
    long_content,
    parts_beside,
    pieces_of,
    put_joined,
    write_parted,
)
from tests.store.small_file import seal, write_small


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parted")
    write_parted(folder / "test.h5")
    write_parted(folder / "other.h5", **long_content(seed=1))
    return folder


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "m")
    FeatureFile.open(tmp_path / "m/test.h5")
    return tmp_path / "m/test.h5"


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as told:
        FeatureFile.open(path)
    assert len(str(told.value).splitlines()) == 1
    assert told.value.rerun == "extract"
    return str(told.value)


def named(change: Callable[[str], str]) -> Callable[[list[Piece]], list[Piece]]:
    """Another file for the third part."""
    return lambda pieces: [*pieces[:2], (change(pieces[2][0]), *pieces[2][1:]), *pieces[3:]]


def swapped(pieces: list[Piece]) -> list[Piece]:
    (one, *_), (other, *_), *_ = pieces
    return [(other, *pieces[0][1:]), (one, *pieces[1][1:]), *pieces[2:]]


PIECES = {
    "an absolute name": named(lambda name: f"/tmp/{name}"),
    "a name further up": named(lambda name: f"../{name}"),
    "a name through the folder": named(lambda name: f"test.parts/../{name}"),
    "a name with a dot before": named(lambda name: f"./{name}"),
    "this file itself": named(lambda _: "."),
    "another folder": named(lambda name: name.replace("test.parts", "other.parts")),
    "another file": named(lambda _: "/etc/passwd"),
    "no name": named(lambda _: "x"),
    "another dataset": lambda pieces: [*pieces[:3], (pieces[3][0], "checksums/rows", *pieces[3][2:])],
    "two parts swapped": swapped,
    "a part twice": lambda pieces: [pieces[0], (*pieces[0][:2], *pieces[1][2:]), *pieces[2:]],
    "a part too few": lambda pieces: pieces[:-1],
    "the first part missing": lambda pieces: pieces[1:],
    "parts over each other": lambda pieces: [pieces[0], (*pieces[1][:2], 8, 16), *pieces[2:]],
    "a part in the wrong order": lambda pieces: [pieces[1], pieces[0], *pieces[2:]],
    "a part with fewer rows": lambda pieces: [*pieces[:2], (*pieces[2][:3], 8), *pieces[3:]],
    "a border within a block": lambda pieces: [(*pieces[0][:3], 8), (*pieces[1][:2], 8, 24), *pieces[2:]],
    "all in one": lambda pieces: [(*pieces[0][:3], 50)],
}


@pytest.mark.parametrize("change", PIECES.values(), ids=PIECES)
def test_what_does_not_lead_to_its_own_parts_in_order_is_refused(path: Path, change: Callable) -> None:
    join_anew(path, pieces_of(path))
    FeatureFile.open(path)
    join_anew(path, change(pieces_of(path)))
    refusal(path)


def test_another_folder_for_all_parts_is_refused(path: Path) -> None:
    shutil.copytree(path.with_suffix(".parts"), path.with_name("more"))
    for folder in ("more", "m/../test.parts", "/test.parts", "..", ".parts", "", path.with_suffix(".parts")):
        pieces = [(f"{folder}/{Path(name).name}", *rest) for name, *rest in pieces_of(path)]
        join_anew(path, pieces)
        refusal(path)


def test_a_virtual_dataset_of_another_shape_or_type_is_refused(path: Path) -> None:
    pieces = pieces_of(path)
    for shape, dtype, own in [
        ((50, WIDTH + 1), "f4", pieces),
        ((51, WIDTH), "f4", pieces),
        ((50, WIDTH), "f8", pieces),
        ((50, WIDTH), ">f4", pieces),
        ((48, WIDTH), "f4", pieces[:3]),
    ]:
        join_anew(path, own, shape, dtype)
        refusal(path)


def boundless(source: str) -> tuple[h5py.h5s.SpaceID, h5py.h5s.SpaceID]:
    """Rows without end, of files without end or of one."""
    here = h5py.h5s.create_simple((50, WIDTH), (h5py.h5s.UNLIMITED, WIDTH))
    here.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), block=(1, WIDTH))
    if "%b" in source:
        return here, h5py.h5s.create_simple((1, WIDTH))
    there = h5py.h5s.create_simple((50, WIDTH), (h5py.h5s.UNLIMITED, WIDTH))
    there.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), block=(1, WIDTH))
    return here, there


@pytest.mark.parametrize("source", ["secret.h5", "secret%b.h5"])
def test_rows_without_end_for_which_hdf5_looks_at_once_are_refused_unfollowed(
    path: Path, source: str
) -> None:
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    here, there = boundless(source)
    how.set_virtual(here, source.encode(), b"rows", there)
    put_joined(path, how, (50, WIDTH), limit=h5py.h5s.UNLIMITED)
    asked = path.with_name(source.replace("%b", "0"))
    os.mkfifo(asked)  # who opens it waits for ever
    refusal(path)


def halves() -> tuple[h5py.h5s.SpaceID, h5py.h5s.SpaceID]:
    here = h5py.h5s.create_simple((50, WIDTH))
    here.select_hyperslab((0, 0), (1, 1), block=(50, WIDTH // 2))
    return here, h5py.h5s.create_simple((50, WIDTH // 2))


def rows_apart() -> tuple[h5py.h5s.SpaceID, h5py.h5s.SpaceID]:
    here = h5py.h5s.create_simple((50, WIDTH))
    here.select_hyperslab((0, 0), (25, 1), (2, 1), (1, WIDTH))
    return here, h5py.h5s.create_simple((25, WIDTH))


def some_of_a_part() -> tuple[h5py.h5s.SpaceID, h5py.h5s.SpaceID]:
    here, there = (h5py.h5s.create_simple((rows, WIDTH)) for rows in (50, 60))
    for space in (here, there):
        space.select_hyperslab((0, 0), (1, 1), block=(50, WIDTH))
    return here, there


@pytest.mark.parametrize("spaces", [halves, rows_apart, some_of_a_part, None])
def test_anything_but_whole_rows_of_whole_parts_is_refused(path: Path, spaces: Callable | None) -> None:
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if spaces is None:
        how.set_layout(h5py.h5d.VIRTUAL)
    else:
        here, there = spaces()
        how.set_virtual(here, pieces_of(path)[0][0].encode(), b"rows", there)
    put_joined(path, how, (50, WIDTH))
    refusal(path)


def missing(parts: list[Path]) -> None:
    parts[-1].unlink()


def truncated(parts: list[Path]) -> None:
    os.truncate(parts[-1], parts[-1].stat().st_size - 1)


def empty(parts: list[Path]) -> None:
    parts[-1].write_bytes(b"")


def a_link_to_another(parts: list[Path]) -> None:
    parts[-1].unlink()
    parts[-1].symlink_to(parts[0])


def a_linked_folder(parts: list[Path]) -> None:
    folder = parts[0].parent.rename(parts[0].parents[1] / "elsewhere")
    parts[0].parent.symlink_to(folder)


def no_folder(parts: list[Path]) -> None:
    shutil.rmtree(parts[0].parent)


def a_folder(parts: list[Path]) -> None:
    parts[-1].unlink()
    parts[-1].mkdir()


def a_pipe(parts: list[Path]) -> None:
    parts[-1].unlink()
    os.mkfifo(parts[-1])


def two_that_changed_places(parts: list[Path]) -> None:
    aside = parts[-1].rename(parts[-1].with_name("aside"))
    parts[-2].rename(parts[-1])
    aside.rename(parts[-2])


def those_of_another_file(parts: list[Path]) -> None:
    for own, other in zip(parts, parts_beside(parts[0].parents[1] / "other.h5"), strict=True):
        other.rename(own)


def a_feature_file(parts: list[Path]) -> None:
    write_small(parts[-1])


def of_another_place(parts: list[Path]) -> None:
    changed(parts[-1], lambda file: file.attrs.__setitem__("first_row", 0))


def of_another_model(parts: list[Path]) -> None:
    changed(parts[-1], lambda file: file.attrs.__setitem__("model", "other"))


def with_other_checksums(parts: list[Path]) -> None:
    changed(
        parts[-1], lambda file: file["checksums/rows"].__setitem__((0, 0), 255 - file["checksums/rows"][0, 0])
    )


def with_a_link(parts: list[Path]) -> None:
    changed(parts[-1], lambda file: file.__setitem__("more", h5py.ExternalLink("/etc/passwd", "/x")))


def with_rows_between_pages(parts: list[Path]) -> None:
    with h5py.File(parts[-1]) as old:
        attributes = dict(old.attrs)
        values = {name: old[name][...] for name in ("rows", "checksums/rows")}
    with h5py.File(parts[-1], "w", userblock_size=1 << 16) as new:
        new.attrs.update(attributes)
        for name, each in values.items():
            new[name] = each
        assert new["rows"].id.get_offset() % 4096
    seal(parts[-1], PART, header=1 << 16)


def with_virtual_rows(parts: list[Path]) -> None:
    def change(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(shape := file["rows"].shape, "f4")
        layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", shape, "f4")
        del file["rows"]
        file.create_virtual_dataset("rows", layout)

    changed(parts[-1], change)


def changed(part: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(part, "r+") as file:
        change(file)
    seal(part, PART, header=1 << 16)


DAMAGE = [
    missing, truncated, empty, a_link_to_another, a_linked_folder, no_folder, a_folder, a_pipe,
    two_that_changed_places, those_of_another_file, a_feature_file, of_another_place, of_another_model,
    with_other_checksums, with_a_link, with_rows_between_pages, with_virtual_rows,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda each: each.__name__)
def test_parts_that_are_not_the_files_own_are_refused(path: Path, damage: Callable) -> None:
    parts = parts_beside(path)
    damage(parts)
    told = refusal(path)
    if damage is missing:
        assert told == f"{path}: damaged (its part test.parts/{parts[-1].name}: no such file or directory)"


def test_a_part_may_be_a_link_to_itself_elsewhere(path: Path) -> None:
    expected = FeatureFile.open(path).layer("wide")[:]
    for part in parts_beside(path):
        shutil.move(part, path.parent / f"elsewhere-{part.name}")
        part.symlink_to(path.parent / f"elsewhere-{part.name}")
    np.testing.assert_array_equal(FeatureFile.open(path).layer("wide"), expected)
    assert verify_feature_file(path) == []


def test_a_feature_file_of_an_older_version_has_no_virtual_layer(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 2
    seal(path, FEATURES)
    assert "not stored in one piece" in refusal(path)


def test_version_3_is_for_files_with_parts(tmp_path: Path) -> None:
    path = write_small(tmp_path / "test.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 3
    seal(path, PARTED)
    assert "no layer is in parts" in refusal(path)


def test_only_a_layer_may_be_virtual(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout((50, 16), "u1")
        layout[:] = h5py.VirtualSource("test.parts/x", "rows", (50, 16), "u1")
        del file["digest"]
        file.create_virtual_dataset("digest", layout)
    seal(path, PARTED)
    assert "digest is not stored in one piece" in refusal(path)
