"""Images and boxes that a JSON of COCO's names, one a split or one for all."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from ...errors import UserError
from ...files.hints import counted, some_of
from ...images.address import is_taken
from ...params import Dataset
from ..dataset_files import of_splits
from ..drawing import splits_to_list
from ..image_tree import short_ids
from ..listing import UNSPLIT, Listing, refuse_duplicates, refuse_unsafe
from ..tree import Tree
from .coco_file import CocoFile, Image, read_coco_file

# how the file of a split is called, from anywhere in the tree: COCO's own, one named as the split, Roboflow's
_USUAL = (
    r"(.*/)?instances_{split}(\d{{4}})?\.json",
    r"(.*/)?{split}(\d{{4}})?\.json",
    r"(.*/)?{split}/_annotations\.coco\.json",
)
_ALONE = r"(annotations/)?[^/]+\.json"  # that of a data set which has only one


def list_coco(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> dict[str, Listing]:
    """The splits of `dataset.files`: {split: JSON}, or one JSON of all images.

    Where it is not set: for each split `instances_<split>.json`, with a year behind it or not, `<split>.json`
    or `<split>/_annotations.coco.json`, wherever they lie; or the one JSON that there is.

    An image is the file in the tree that ends in its `file_name`: of several, the one in the folder of the
    JSON, from the root, or in a folder named as the split. On a web server, which has no list of its files,
    it is at `coco_url` if that lies below the root, else at `file_name` from there. Its id is `file_name`
    without the suffix, or with it if two images would have the same, or its path if they still would. Classes
    are the categories in their order; `iscrowd` is difficult.

    Raises
    ------
    UserError
        One line that names the file, and the image or annotation at fault.
    """
    has_list = tree.is_listable or dataset.files is None
    there = tree.files if has_list else ()
    file_of = _files(there, tree.root, dataset, also)
    read = {path: _read(tree, path) for path in dict.fromkeys(file_of.values())}
    classes = tuple(dict.fromkeys(name for file in read.values() for name in file.classes))
    if not any(len(file.rows) for file in read.values()):
        classes = ()
    if has_list:
        places = _Places(there, tree.root)
        paths = {split: places.of(read[path], path, split) for split, path in file_of.items()}
    else:
        paths = {split: _from_root(read[path], tree.root) for split, path in file_of.items()}
    ids = _ids({split: read[path] for split, path in file_of.items()}, paths)
    listings = {}
    for split, path in file_of.items():
        file, own = read[path], tuple(ids[place] for place in paths[split])
        labels, boxes, remarks = file.labels(classes), file.boxes(own), _remarks(file, classes)
        listings[split] = Listing(split, classes, own, tuple(paths[split]), labels, boxes, remarks=remarks)
    return listings


def _remarks(file: CocoFile, classes: Sequence[str]) -> tuple[str, ...]:
    lacking = [name for name in classes if name not in file.classes]
    if not lacking or not len(file.rows):
        return file.remarks
    remark = f"{file.where} has no category {some_of(lacking, 5)}, which another has: absent from its images"
    return (*file.remarks, remark)


def _ids(files: Mapping[str, CocoFile], paths: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """{path: id}: the files' own names without suffixes, unless two images would have the same."""
    name_of = {
        path: image.file_name
        for split, file in files.items()
        for path, image in zip(paths[split], file.images, strict=True)
    }
    if len(set(name_of.values())) < len(name_of):
        return short_ids(list(name_of))
    short = short_ids(list(name_of.values()))
    return {path: short[name] for path, name in name_of.items()}


def _read(tree: Tree, path: str) -> CocoFile:
    try:
        return read_coco_file(tree.read(path), tree.where(path))
    except FileNotFoundError:
        raise UserError(f"dataset.files: {tree.where(path)}: no such file") from None


def _files(there: Sequence[str], root: str, dataset: Dataset, also: Collection[str]) -> dict[str, str]:
    """{split: its JSON}, or that of all images."""
    files = dataset.files
    if files is None:
        return _usual_files([path for path in there if path.endswith(".json")], root, dataset, also)
    named = {UNSPLIT: files} if isinstance(files, str) else files
    for path in named.values():
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise UserError(f"dataset.files: {path}: give a path from dataset.root that stays in it")
    if isinstance(files, str) or dataset.lists:
        return named
    return of_splits(files, dataset.splits(also))


def _usual_files(there: Sequence[str], root: str, dataset: Dataset, also: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for split in dataset.splits(also):
        usual = "|".join(form.format(split=re.escape(split)) for form in _USUAL)
        those = [path for path in there if re.fullmatch(usual, path)]
        if len(those) > 1:
            raise UserError(
                f"{root}: of {' and '.join(those[:5])} each may be the split {split}; say which in "
                "dataset.files"
            )
        found |= dict.fromkeys([split], those[0]) if those else {}
    if not found and len(alone := [path for path in there if re.fullmatch(_ALONE, path)]) == 1:
        return {UNSPLIT: alone[0]}
    others = set(there) - set(found.values())  # each may be that of a split
    for split in splits_to_list(dataset, also, [*found, *others]):
        if split not in found:
            raise UserError(
                f"{root}: no instances_{split}.json, {split}.json or {split}/_annotations.coco.json; "
                f"set dataset.files to one JSON, or to one a split; there are: {some_of(there, 10) or 'none'}"
            )
    return found


def _from_root(file: CocoFile, root: str) -> list[str]:
    """The path of each image where there is no list of files."""
    start = f"{root}/"
    return [
        _safe(
            image.coco_url.removeprefix(start) if image.coco_url.startswith(start) else image.file_name,
            f"{file.where}: image {image.id!r}",
        )
        for image in file.images
    ]


def _safe(path: str, where: str) -> str:
    refuse_unsafe(path, where)
    if is_taken(path):
        raise UserError(f"{where}: {path!r} has the form of an address; rename the image")
    return path


class _Places:
    """Where in the tree the images are that files name."""

    def __init__(self, there: Sequence[str], root: str) -> None:
        self._there, self._root = set(there), root
        self._named: dict[str, list[str]] = {}
        for path in there:
            self._named.setdefault(path.rpartition("/")[2], []).append(path)

    def of(self, file: CocoFile, path: str, split: str) -> list[str]:
        """The path of each of a file's images; that from the root where there is no such file.

        Raises
        ------
        UserError
            If there is none of them, or it is not clear which file one is.
        """
        folder = path.rpartition("/")[0]
        stem = path.rpartition("/")[2].removesuffix(".json").removeprefix("instances_")
        found = [self._place(image, folder, {split, stem}, file.where) for image in file.images]
        if not any(place in self._there for place in found):
            raise UserError(
                f"{file.where}: none of its {counted(len(found), 'image')} is in {self._root}, such as "
                f"{found[0]}; put them there"
            )
        refuse_duplicates(found, file.where)
        return found

    def _place(self, image: Image, folder: str, own: set[str], where: str) -> str:
        name = _safe(image.file_name, f"{where}: image {image.id!r}")
        beside = f"{folder}/{name}" if folder else name
        for place in (beside, name):
            if place in self._there:
                return place
        those = [p for p in self._named.get(name.rpartition("/")[2], ()) if p.endswith(f"/{name}")]
        if len(those) > 1:
            those = [p for p in those if own & {*p.split("/")[:-1]}] or those
        if len(those) > 1:
            raise UserError(
                f"{where}: of {' and '.join(those[:5])} each may be {name}; write the folder into file_name"
            )
        return those[0] if those else name
