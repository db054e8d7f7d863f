"""What any kind of data set must hold to: derive a class, say how an example is written, and run it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import pytest
from listed import listed
from memory_tree import MemoryTree

from pool5.datasets.listing import Listing, can_be_written
from pool5.datasets.patterns import name_of
from pool5.errors import UserError
from pool5.images.address import Address
from pool5.images.image_file import read_image


class KindTests:
    """Tests of a `DatasetKind`; `write` makes an example with a dozen images, in splits train and test."""

    kind: str
    write: Callable[[Path], None]
    settings: ClassVar[dict[str, Any]] = {}  # further ones of the section dataset

    def list(self, root: Path, **further: Any) -> dict[str, Listing]:
        return listed(self.kind, root, **{**self.settings, **further})

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "root").mkdir()
        type(self).write(tmp_path / "root")
        return tmp_path / "root"

    @pytest.fixture
    def own_splits(self, root: Path) -> dict[str, Listing]:
        found = self.list(root)
        if "so they are drawn" in "".join(found["train"].remarks):
            pytest.skip("the example has no splits of its own")
        return found

    @pytest.fixture
    def listings(self, root: Path) -> dict[str, Listing]:
        return self.list(root)

    def test_each_split_that_is_asked_for_is_listed_under_its_name(self, listings):
        assert {"train", "test"} <= set(listings)
        assert all(listing.split == split for split, listing in listings.items())
        assert all(listing.ids for listing in listings.values())

    def test_all_splits_have_the_same_classes_and_a_label_for_each(self, listings):
        (classes,) = {listing.classes for listing in listings.values()}
        assert len(set(classes)) == len(classes)
        for listing in listings.values():
            assert np.asarray(listing.labels).dtype == np.int8
            assert listing.labels.shape == (len(listing.ids), len(classes))
            assert np.isin(np.asarray(listing.labels), (-1, 0, 1)).all()

    def test_ids_are_unique_in_a_split_and_each_has_a_path(self, listings):
        for listing in listings.values():
            assert len(set(listing.ids)) == len(listing.ids) == len(listing.paths)
            assert all(name and can_be_written(name) for name in (*listing.ids, *listing.paths))

    def test_paths_lead_from_the_root_to_files_in_it(self, root, listings):
        for path in (path for listing in listings.values() for path in listing.paths):
            assert not PurePosixPath(path).is_absolute()
            assert ".." not in PurePosixPath(path).parts
            assert read_image(Address.parse(path, root)).ndim == 3

    def test_no_image_is_in_train_and_in_test(self, listings):
        assert not set(listings["train"].paths) & set(listings["test"].paths)

    def test_the_same_data_set_gives_the_same_listings(self, root, listings):
        again = self.list(root)
        assert list(again) == list(listings)
        for split, listing in listings.items():
            assert (again[split].ids, again[split].paths) == (listing.ids, listing.paths)
            np.testing.assert_array_equal(np.asarray(again[split].labels), np.asarray(listing.labels))

    def test_a_tree_that_is_no_folder_gives_the_same_listings(self, root, listings):
        again = self.list(root, tree=MemoryTree.of(root))
        for split, listing in listings.items():
            assert (again[split].ids, again[split].paths) == (listing.ids, listing.paths)
            assert again[split].objects == listing.objects
            np.testing.assert_array_equal(np.asarray(again[split].labels), np.asarray(listing.labels))

    def test_an_excluded_image_is_in_no_split_and_the_others_stay(self, root, listings):
        listing = listings["train"]
        out = name_of(listing.paths[0], listing.ids[0])
        left = self.list(root, exclude=(f"/{out}",))
        paths = {path for part in left.values() for path in part.paths}
        assert listing.paths[0] not in paths
        assert {path for part in listings.values() for path in part.paths} - paths == {listing.paths[0]}

    def test_images_on_an_exclude_list_are_taken_from_their_splits_and_from_no_other(self, root, listings):
        ids = listings["train"].ids
        (root / "out.txt").write_text(f"# near duplicates\n[train]\n{ids[1]}\n")
        left = self.list(root, exclude=("out.txt",))
        assert left["train"].ids == (ids[0], *ids[2:])
        assert left["test"].ids == listings["test"].ids
        assert "out.txt leaves out 1 image of train" in left["train"].remarks

    def test_lists_say_which_image_is_in_which_split(self, root, listings):
        every, other = listings["train"], listings["test"]
        named = {
            part.split: [name_of(*pair) for pair in zip(part.paths, part.ids, strict=True)]
            for part in (every, other)
        }
        (root / "a.txt").write_text("\n".join(named["train"][2::-1]))
        (root / "b.txt").write_text("\n".join(named["test"]))
        parts = self.list(root, lists={"train": "a.txt", "test": "b.txt"})
        assert parts["train"].paths == every.paths[2::-1]
        assert parts["test"].paths == other.paths
        if every.classes == parts["train"].classes:
            rows = np.asarray(every.labels)[2::-1]
            np.testing.assert_array_equal(np.asarray(parts["train"].labels), rows)

    def test_a_split_to_test_on_is_drawn_from_train_where_there_is_none(self, root, own_splits):
        found = self.list(root, test="held_out", val="test")
        every, drawn = own_splits["train"], [found["train"], found["held_out"]]
        assert sorted(path for part in drawn for path in part.paths) == sorted(every.paths)
        assert found["test"].paths == own_splits["test"].paths
        row_of = {path: row for row, path in enumerate(every.paths)}
        for part in drawn:
            rows = [row_of[path] for path in part.paths]
            assert rows
            assert part.ids == tuple(every.ids[row] for row in rows)
            np.testing.assert_array_equal(np.asarray(part.labels), np.asarray(every.labels)[rows])
            told = f"train {len(drawn[0].ids)}, held_out {len(drawn[1].ids)}"
            assert f"no split held_out, so it is drawn from train by a hash of the names: {told}" in str(
                part.remarks
            )

    def test_no_split_is_drawn_where_one_that_is_not_named_may_be_meant(self, root, own_splits):
        with pytest.raises(UserError, match="held_out"):
            self.list(root, test="held_out")

    def test_a_root_that_is_not_there_is_told_in_one_line(self, tmp_path):
        with pytest.raises(UserError, match="nowhere") as told:
            self.list(tmp_path / "nowhere")
        assert "\n" not in str(told.value)
