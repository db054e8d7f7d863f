"""Data sets in tar shards: samples, labels, splits, and what is told of odd ones."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listed import listed
from tars import IMAGES, jpeg, write_shards, write_tar

from pool5.datasets.kinds.known_shards import know_shards
from pool5.datasets.kinds.shard import Shard
from pool5.datasets.listing import Listing
from pool5.datasets.tree import LocalTree
from pool5.errors import UserError
from pool5.images.address import Address
from pool5.images.image_bytes import read_bytes
from pool5.params.sections import Columns


def list_shards(root: Path, **settings: Any) -> dict[str, Listing]:
    columns = Columns(**settings.pop("columns", {}))
    return listed("webdataset", root, columns=columns, **settings)


def one_shard(root: Path, members: dict[str, bytes], split: str = "train", **settings: Any) -> Listing:
    """What is listed of a shard with these members, beside a test split of one image."""
    other = "test" if split == "train" else "train"
    write_tar(root / f"{split}-0.tar", members)
    write_tar(root / f"{other}-0.tar", {"beside.jpg": b"beside"})
    return list_shards(root, **settings)[split]


def labels_of(listing: Listing) -> dict[str, list[str]]:
    dense = np.asarray(listing.labels)
    return {
        name: [listing.classes[n] for n in np.flatnonzero(row == 1)]
        for name, row in zip(listing.ids, dense, strict=True)
    }


def told(root: Path, members: dict[str, bytes] | None = None, **settings: Any) -> str:
    with pytest.raises(UserError) as error:
        list_shards(root, **settings) if members is None else one_shard(root, members, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- the law


@given(st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_folder_packed_into_shards_lists_the_same_ids_labels_bytes_and_splits(tmp_path_factory, data):
    folder, shards = tmp_path_factory.mktemp("folder"), tmp_path_factory.mktemp("shards")
    content = {f"{name}.jpg": (label, f"image {n}".encode()) for n, (label, name) in enumerate(IMAGES)}
    for path, (_, image) in content.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(image)
    order = data.draw(st.permutations(list(content)))
    number = {path: data.draw(st.integers(0, 2)) for path in order}
    for shard in set(number.values()):
        members = {}
        for path in (path for path in order if number[path] == shard):
            label, image = content[path]
            members |= {path: image, f"{path.removesuffix('.jpg')}.cls": label.encode()}
        write_tar(shards / f"{shard}.tar", members)

    ours, theirs = list_shards(shards), listed("folder", folder)
    for split, listing in theirs.items():
        assert ours[split].classes == listing.classes
        wanted = {name.removesuffix(".jpg"): own for name, own in labels_of(listing).items()}
        assert labels_of(ours[split]) == wanted
        theirs_of = dict(zip(wanted, listing.paths, strict=True))
        for name, path in zip(ours[split].ids, ours[split].paths, strict=True):
            there = Address.parse(theirs_of[name], folder)
            assert read_bytes(Address.parse(path, shards)) == read_bytes(there)


def test_shards_that_the_library_webdataset_writes_are_read(tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="the library webdataset is not installed")
    with webdataset.ShardWriter(str(tmp_path / "train-%06d.tar"), maxcount=4, verbose=0) as writer:
        for n, (label, name) in enumerate(IMAGES):
            about = {"label": label, "width": n}
            writer.write({"__key__": name, "jpg": jpeg(tmp_path, n), "cls": n % 2, "json": about})
    write_tar(tmp_path / "test-000000.tar", {"other.jpg": b"other"})
    by_number = list_shards(tmp_path)["train"]
    by_field = list_shards(tmp_path, columns={"labels": "label"})["train"]
    assert by_number.ids == by_field.ids == tuple(name for _, name in IMAGES)
    assert labels_of(by_number) == {name: [str(n % 2)] for n, (_, name) in enumerate(IMAGES)}
    assert labels_of(by_field) == {name: [label] for label, name in IMAGES}
    read = [read_bytes(Address.parse(path, tmp_path)) for path in by_number.paths]
    theirs = webdataset.WebDataset(sorted(map(str, tmp_path.glob("train-*"))), shardshuffle=False)
    assert [(sample["__key__"], sample["jpg"]) for sample in theirs] == list(
        zip(by_number.ids, read, strict=True)
    )


# --- splits


@pytest.mark.parametrize(
    "names",
    [
        ("train-000.tar", "test-000.tar"),
        ("train/000.tar", "test/000.tar"),
        ("birds_train_00.tar", "birds_test_00.tar"),
        ("train.tar", "test.tar"),
    ],
)
def test_a_shard_is_of_the_split_that_is_a_word_of_its_path(tmp_path, names):
    for name in names:
        write_tar(tmp_path / name, {f"in-{name[:-4]}.jpg": name.encode()})
    write_tar(tmp_path / "extra-000.tar", {"extra.jpg": b"extra"})
    found = list_shards(tmp_path)
    assert {split: len(listing.ids) for split, listing in found.items()} == {"train": 1, "test": 1}
    assert names[0] in found["train"].paths[0]


def test_files_says_which_shards_are_of_which_split(tmp_path):
    for n in range(4):
        write_tar(tmp_path / f"s{n:03d}.tar", {f"{n}.jpg": b"%d" % n})
    found = list_shards(tmp_path, files={"train": "s{000..002}.tar", "test": "s003.tar"})
    assert found["train"].ids == ("0", "1", "2")
    assert found["test"].ids == ("3",)
    assert list_shards(tmp_path, files={"train": "s00[01].tar", "test": "*{2,3}.tar"})["test"].ids == (
        "2",
        "3",
    )


def test_a_shard_that_a_range_names_and_is_not_there_is_told(tmp_path):
    write_shards(tmp_path)
    files = {"train": "train-{000000..000002}.tar", "test": "test-000000.tar"}
    assert "train-000001.tar: no such file" in told(tmp_path, files=files)
    assert "no file a*.tar" in told(tmp_path, files="a*.tar")
    assert "stands for 0 names" in told(tmp_path, files="a{3..1}.tar")
    assert "stands for 9000001 names" in told(tmp_path, files="a{0..9000000}.tar")
    assert "no file of split test" in told(tmp_path, files={"train": "train-000000.tar"})


def test_a_shard_of_two_splits_or_a_split_without_shards_is_told(tmp_path):
    write_tar(tmp_path / "train/test-0.tar", {"1.jpg": b"1"})
    assert "of the split train or test?" in told(tmp_path)
    (tmp_path / "train/test-0.tar").rename(tmp_path / "train/0.tar")
    write_tar(tmp_path / "tset/0.tar", {"2.jpg": b"2"})
    assert "no shard of the split test; there are train/0.tar, tset/0.tar" in told(tmp_path)


# --- samples


def test_names_are_freed_of_what_tar_puts_before_them(tmp_path):
    found = one_shard(tmp_path, {"./cat/1.jpg": b"1", "/home/me/2.jpg": b"2", "a//./3.JPG": b"3"})
    assert found.ids == ("cat/1", "home/me/2", "a/3")
    assert [read_bytes(Address.parse(path, tmp_path)) for path in found.paths] == [b"1", b"2", b"3"]


def test_hidden_members_and_those_of_systems_are_no_samples(tmp_path):
    found = one_shard(tmp_path, {"._1.jpg": b"", "1.jpg": b"1", "__MACOSX/1.jpg": b"", "a/.b/2.jpg": b""})
    assert found.ids == ("1",)


@pytest.mark.parametrize("name", ["../1.jpg", "a/../../1.jpg", "a\\1.jpg", "a\n1.jpg"])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    assert repr(name.split("/")[-1].removesuffix(".jpg"))[1:-1] in told(tmp_path, {name: b"1"})


def test_a_name_that_is_not_in_utf8_is_refused(tmp_path):
    assert "is no name of an image" in told(tmp_path, {"a\udcff.jpg": b"1"})


def test_a_member_of_the_same_name_twice_is_refused(tmp_path):
    write_tar(tmp_path / "train-0.tar", [("1.jpg", b"1"), ("1.jpg", b"2")])
    write_tar(tmp_path / "test-0.tar", {"2.jpg": b"2"})
    assert "'1.jpg' is there twice" in told(tmp_path)


def test_two_images_in_a_sample_need_a_word_on_which(tmp_path):
    members = {"1.jpg": b"jpeg", "1.png": b"png", "1.seg.png": b"seg"}
    assert "train-0.tar#1: more than one image, jpg and png" in told(tmp_path, members)
    write_tar(tmp_path / "test-0.tar", {"2.png": b"two"})
    for ending, image in (("png", b"png"), (".PNG", b"png")):
        (path,) = list_shards(tmp_path, columns={"image": ending})["train"].paths
        assert read_bytes(Address.parse(path, tmp_path)) == image


def test_an_image_with_dots_in_its_name_is_one(tmp_path):
    assert one_shard(tmp_path, {"me.2020.01.jpg": b"1"}).ids == ("me",)
    assert "more than one image" in told(tmp_path, {"me.2020.01.jpg": b"1", "me.2020.02.jpg": b"2"})


def test_a_mask_beside_an_image_is_not_the_image(tmp_path):
    (path,) = one_shard(tmp_path, {"1.mask.png": b"mask", "1.jpg": b"image"}).paths
    assert read_bytes(Address.parse(path, tmp_path)) == b"image"


def test_samples_without_an_image_are_counted(tmp_path):
    found = one_shard(tmp_path, {"1.jpg": b"1", "2.cls": b"3", "3.txt": b"a cat"})
    assert found.ids == ("1",)
    assert "2 samples of the shards without an image" in found.remarks


def test_members_of_a_sample_need_not_stand_together(tmp_path):
    found = one_shard(tmp_path, {"1.cls": b"a", "2.cls": b"b", "2.jpg": b"2", "1.jpg": b"1"})
    assert labels_of(found) == {"1": ["a"], "2": ["b"]}


def test_a_name_in_two_shards_stands_behind_the_shards(tmp_path):
    for split in ("train", "test"):
        write_tar(tmp_path / f"{split}/00.tar", {"1.jpg": split.encode()})
    found = list_shards(tmp_path)
    assert (found["train"].ids, found["test"].ids) == (("train/00/1",), ("test/00/1",))


def test_a_hard_link_is_its_image_and_a_symbolic_one_is_told(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"one")
    (tmp_path / "2.jpg").hardlink_to(tmp_path / "1.jpg")
    (tmp_path / "3.jpg").symlink_to("1.jpg")
    with tarfile.open(tmp_path / "train.tar", "w") as tar:
        for name in ("1.jpg", "2.jpg", "3.jpg"):
            tar.add(tmp_path / name, name)
    write_tar(tmp_path / "test.tar", {"4.jpg": b"four"})
    found = list_shards(tmp_path)["train"]
    assert found.ids == ("1", "2")
    assert read_bytes(Address.parse(found.paths[1], tmp_path)) == b"one"
    assert any("1 symbolic link in the shards not followed" in remark for remark in found.remarks)


def test_shards_without_an_image_are_told_and_none_at_all_is_an_error(tmp_path):
    (tmp_path / "train-1.tar").touch()
    found = one_shard(tmp_path, {"1.jpg": b"1"})
    assert "1 shard without an image: train-1.tar" in found.remarks
    for path in tmp_path.glob("*.tar"):
        path.write_bytes(b"")
    assert "no image in 2 shards of the split train" in told(tmp_path)


@pytest.mark.parametrize("name", ["train-0.tar.gz", "train-0.tgz"])
def test_compressed_shards_are_told(tmp_path, name):
    with tarfile.open(tmp_path / name, "w:gz"):
        pass
    assert f"only compressed ones, as {name}" in told(tmp_path)
    assert "compressed" in told(tmp_path, files=name)


@pytest.mark.parametrize("name", ["/etc/0.tar", "../0.tar", "a/../../0.tar"])
def test_files_stays_in_the_root(tmp_path, name):
    assert "stays in it" in told(tmp_path, files=name)


def test_no_shard_at_all_is_told(tmp_path):
    assert "no file *.tar" in told(tmp_path)
    (tmp_path / "a.tar").mkdir()
    assert "no file *.tar" in told(tmp_path)


def test_a_shard_whose_name_cannot_stand_in_an_address_is_told(tmp_path):
    write_tar(tmp_path / "a.tar#b.tar", {"1.jpg": b"1"})
    assert "must end in .tar, once" in told(tmp_path)


# --- what is kept


class Counting(LocalTree):
    """A tree that notes what is opened."""

    def __init__(self, root: Path, kept: Path) -> None:
        super().__init__(str(root))
        self.kept, self.asked = kept, []

    def open(self, path: str) -> BinaryIO:
        self.asked.append(path)
        return super().open(path)


def test_only_new_and_changed_shards_are_read_again(tmp_path):
    root, kept = tmp_path / "root", tmp_path / "kept"
    names = [f"{n}.tar" for n in range(4)]
    for n, name in enumerate(names):
        write_tar(root / name, {f"{n}.jpg": b"%d" % n, f"{n}.cls": b"cat"})

    def read() -> tuple[list[str], dict[str, Shard]]:
        tree = Counting(root, kept)
        shards = know_shards(tree, names, Columns())
        return tree.asked, shards

    # files of this very second count as old here
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pool5.files.kept._RACY", -(10**12))
        opened, first = read()
        assert opened == names
        assert read() == ([], first)
        write_tar(root / "1.tar", {"x.jpg": b"x"})
        names.append("4.tar")
        write_tar(root / "4.tar", {"y.jpg": b"y"})
        names.remove("0.tar")
        opened, second = read()
        assert opened == ["1.tar", "4.tar"]
        assert second["1.tar"].keys == ["x"]
        assert len(list(kept.iterdir())) == 4
        patch.setattr("pool5.datasets.kinds.known_shards.SUFFIXES", {".jpg", ".heic"})  # now it is installed
        assert read() == (names, second)
        assert read() == ([], second)
        for file in kept.iterdir():
            file.write_bytes(file.read_bytes()[:-1] + b"?")
        assert read() == (names, second)


def test_a_shard_that_has_just_been_written_is_not_taken_for_unchanged(tmp_path):
    write_tar(tmp_path / "root/0.tar", {"1.jpg": b"1"})
    for _ in range(2):
        tree = Counting(tmp_path / "root", tmp_path / "kept")
        know_shards(tree, ["0.tar"], Columns())
        assert tree.asked == ["0.tar"]


# --- labels


def test_numbers_are_classes_in_the_order_of_their_size(tmp_path):
    found = one_shard(tmp_path, {f"{n}.{e}": b"%d" % (7 * n % 12) for n in range(12) for e in ("cls", "jpg")})
    assert found.classes == tuple(map(str, range(12)))
    assert labels_of(found)["5"] == ["11"]


def test_numbers_count_the_names_in_classes(tmp_path):
    members = {"1.jpg": b"1", "1.cls": b"2\n", "2.jpg": b"2", "2.cls": b"0"}
    found = one_shard(tmp_path, members, classes=("cat", "dog", "bird"))
    assert found.classes == ("cat", "dog", "bird")
    assert labels_of(found) == {"1": ["bird"], "2": ["cat"]}
    same = members | {"2.cls": b"1\n01\n"}
    assert labels_of(one_shard(tmp_path, same, classes=("cat", "dog", "bird")))["2"] == ["dog"]
    assert "2 names, but a label is 2" in told(tmp_path, members, classes=("cat", "dog"))


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        ({"label": "cat"}, ["cat"]),
        ({"labels": ["dog", "cat", "dog"]}, ["cat", "dog"]),
        ({"cls": 3}, ["3"]),
        ({"labels": [], "caption": "nothing"}, []),
        ({"label": None}, []),
        ({"label": -1}, []),
        (["cat", "dog"], ["cat", "dog"]),
        ("cat", ["cat"]),
    ],
)
def test_json_says_a_name_a_number_or_a_list(tmp_path, said, labels):
    members = {"1.jpg": b"1", "1.json": json.dumps(said).encode(), "2.jpg": b"", "2.cls": b"cat"}
    assert labels_of(one_shard(tmp_path, members))["1"] == labels


def test_labels_may_be_in_a_field_of_ones_own_or_another_member(tmp_path):
    members = {"1.jpg": b"1", "1.json": b'{"kind": "cat; dog"}', "1.txt": b"bird\nfish\n", "1.cls": b"3"}
    columns = {"labels": "kind", "separator": ";"}
    assert labels_of(one_shard(tmp_path, members, columns=columns))["1"] == ["cat", "dog"]
    assert labels_of(one_shard(tmp_path, members, columns={"labels": "txt"}))["1"] == ["bird", "fish"]
    assert labels_of(one_shard(tmp_path, members))["1"] == ["3"]


@pytest.mark.parametrize(
    "said", [b'{"label": 1.5}', b'{"label": {"cat": 1}}', b'{"label": [true]}', b"{", b"\xff", b"[" * 99999]
)
def test_json_that_says_no_label_is_told(tmp_path, said):
    assert "train-0.tar#1" in told(tmp_path, {"1.jpg": b"1", "1.json": said})


def test_a_caption_is_no_label(tmp_path):
    found = one_shard(tmp_path, {"1.jpg": b"1", "1.txt": b"a cat on a mat"})
    assert found.classes == ()
    assert not found.remarks


def test_images_without_a_label_beside_such_with_one_are_told(tmp_path):
    found = one_shard(
        tmp_path, {"1.jpg": b"1", "1.cls": b"cat", "2.jpg": b"2", "3.jpg": b"3", "3.cls": b"\n"}
    )
    assert labels_of(found) == {"1": ["cat"], "2": [], "3": []}
    (remark,) = found.remarks
    assert remark.startswith("3 images in the shards without a label")


def test_a_label_longer_than_a_number_is_a_name(tmp_path):
    found = one_shard(tmp_path, {"1.jpg": b"1", "1.cls": b"9" * 5000, "2.jpg": b"2", "2.cls": b"10"})
    assert found.classes == ("10", "9" * 5000)


def test_a_class_with_a_control_character_is_told(tmp_path):
    assert "control character" in told(tmp_path, {"1.jpg": b"1", "1.json": b'{"label": "a\\u0007b"}'})


def test_columns_that_shards_do_not_have_are_told(tmp_path):
    write_shards(tmp_path)
    assert "dataset.columns.split" in told(tmp_path, columns={"split": "part"})


def test_a_field_of_labels_that_is_nowhere_is_told(tmp_path):
    members = {"a.jpg": b"a", "a.cls": b"1"}
    assert "dataset.columns.labels names" in told(tmp_path, members, columns={"labels": "cl"})
