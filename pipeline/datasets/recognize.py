"""Which kind of data set lies somewhere, seen from names, and of a table from its header and splits."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from posixpath import basename, splitext

from ..errors import UserError
from ..files.hints import counted
from ..files.remote import is_remote
from ..params import Columns
from .dataset_files import SEPARATORS, TABLES, split_of
from .image_tree import is_image
from .kinds.annotated_images import annotated_images
from .roots import open_tree
from .tree import Tree

_TRAIN = ("trainval", "train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")
_TABLE = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_IMAGE = ("path", "image", "img", "file_name", "filename", "file", "url")
_LABELS = ("labels", "label", "classes", "class", "category")


@dataclasses.dataclass(frozen=True)
class Recognized:
    """A data set, in the words of params.yaml.

    Attributes
    ----------
    kind, root, train, test : str
    has_labels : bool
    described : str
        What was seen, for people.
    files : str, optional
    columns : {name: column}
        Those that are not called as they are by default.
    """

    kind: str
    root: str
    train: str
    test: str
    has_labels: bool
    described: str
    files: str | None = None
    columns: dict[str, str] = dataclasses.field(default_factory=dict)


def recognize(place: Path | str) -> Recognized:
    """What a folder, a bucket or a file holds: VOC's layout, COCO's, tables, tar shards, or images by folder.

    Raises
    ------
    UserError
        If it holds none of these.
    """
    root, file = _root_and_file(str(place))
    tree = open_tree(root)
    if file and splitext(file)[1].lower() not in (*_TABLE, ".json", ".tar"):
        raise UserError(f"{place}: no folder of images, and neither a table nor COCO's JSON nor a tar shard")
    there = [file] if file else tree.files
    for look in (_table, _voc, _coco, _shards, _annotated, _by_split, _by_folder):
        if (seen := look(tree, there)) is not None:
            given = file is not None and seen.files is None and file not in TABLES
            return dataclasses.replace(seen, files=file if given else seen.files)
    raise UserError(f"{place}: no images here; give their folder with --images")


def _root_and_file(place: str) -> tuple[str, str | None]:
    """A file's folder and its name; of anything else itself."""
    file = (
        splitext(place)[1].lower() in (*_TABLE, ".json", ".tar")
        if is_remote(place)
        else Path(place).is_file()
    )
    if not file:
        if not is_remote(place) and not Path(place).is_dir():
            raise UserError(f"{place}: no such folder of images; give one with --images")
        return place, None
    folder, _, name = place.rpartition("/")
    return folder or ".", name


def _table(tree: Tree, there: Sequence[str]) -> Recognized | None:
    from .kinds.table_formats import open_table

    by_split = {split: path for path in there if (split := split_of(path))}
    file = next((path for path in (*TABLES, *there[: len(there) == 1]) if path in there), None)
    file = file or next(iter(by_split.values()), None)
    beside = None if file else _table_beside_images(tree, there)
    file = file or beside
    if file is None or splitext(file)[1].lower() not in _TABLE:
        return None
    table = open_table(tree, file)
    image = next((name for name in _IMAGE if name in table.names), None)
    if image is None:
        if len(there) == 1:
            known = f"one of images is called {', '.join(_IMAGE)}"
            raise UserError(f"{table}: it has the columns {', '.join(table.names) or 'none'}; {known}")
        return None
    labels = next((name for name in _LABELS if name in table.names), None)
    columns = {} if image == "path" else {"image": image}
    if labels:
        columns["labels"] = labels
    first = next(iter(table.batches([name for name in ("split", labels) if name], image)), None)
    if labels and first and (between := _separator(first.columns[labels].to_pylist())):
        columns["separator"] = between
    splits = set(by_split)
    if "split" in table.names:
        splits = {
            text for part in table.batches(["split"], image) for text in part.columns["split"].to_pylist()
        }
    train, test = _pair(splits, tree.root) if {*splits} - {"", None} else ("train", "test")
    classes = [name for name in table.names if name not in (image, "split", "id")]
    told = f"labels in the column {labels}" if labels else counted(len(classes), "class", "classes")
    described = f"a table, {file}, with {told}"
    labelled = bool(labels or classes)
    return Recognized("table", tree.root, train, test, labelled, described, beside, columns)


def _table_beside_images(tree: Tree, there: Sequence[str]) -> str | None:
    """The only table in the root, whatever it is called, if the first image that it names is there."""
    from .kinds.table_formats import open_table

    tables = [path for path in there if "/" not in path and splitext(path)[1].lower() in _TABLE]
    if len(tables) != 1:
        return None
    try:
        table = open_table(tree, tables[0])
        image = next((name for name in _IMAGE if name in table.names), None)
        first = next(iter(table.batches([image], image)), None) if image else None
    except UserError:  # a table of something else
        return None
    return tables[0] if image and first and first.columns[image][0].as_py() in there else None


def _separator(cells: list[object]) -> str | None:
    """What stands between names in a column of texts, where most of some have it."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    return next((mark for mark in SEPARATORS if any(mark in text for text in texts)), None)


def _voc(tree: Tree, there: Sequence[str]) -> Recognized | None:
    lists = [path for path in there if re.search(r"(^|/)ImageSets/Main/[^/]+\.txt$", path)]
    if not lists:
        return None
    names = [splitext(basename(path))[0] for path in lists]
    train, test = _pair([name for name in names if "_" not in name], tree.root)
    return Recognized(
        "voc", tree.root, train, test, True, f"VOC's layout, with the splits {train} and {test}"
    )


def _coco(tree: Tree, there: Sequence[str]) -> Recognized | None:
    from .kinds.coco_file import read_coco_file

    files = [path for path in there if path.endswith(".json") and splitext(path)[0] + ".tar" not in there]
    of_splits = {
        word: path
        for path in files
        for word in (*_TRAIN, *_TEST)
        if re.search(rf"(^|/)(instances_)?{word}(\d{{4}})?(\.json|/_annotations\.coco\.json)$", path)
    }
    file = next(iter(of_splits.values()), files[0] if len(files) == 1 else None)
    if file is None or any(path.endswith(".tar") for path in there):
        return None
    try:
        content = read_coco_file(tree.read(file), tree.where(file))
    except UserError:
        if there == files:
            raise
        return None
    splits = _pair(of_splits, tree.root) if len(of_splits) > 1 else ("train", "test")
    described = f"COCO's JSON, {file}, with {counted(len(content.classes), 'class', 'classes')}"
    return Recognized("coco", tree.root, *splits, bool(content.classes), described)


def _shards(tree: Tree, there: Sequence[str]) -> Recognized | None:
    from .kinds.shard import read_shard

    shards = [path for path in there if path.endswith(".tar")]
    if not shards:
        return None
    words = {word for path in shards for word in re.split(r"[^0-9A-Za-z]+", path)}
    known = words & {*_TRAIN, *_TEST}
    train, test = _pair(known, tree.root) if len(known) > 1 else ("train", "test")
    with tree.open(shards[0]) as file:
        labelled = any(read_shard(file, tree.where(shards[0]), Columns()).labels)
    described = f"{counted(len(shards), 'tar shard')}, {'' if labelled else 'no '}labels beside the images"
    return Recognized("webdataset", tree.root, train, test, labelled, described)


def _annotated(tree: Tree, there: Sequence[str]) -> Recognized | None:
    images = _images(there)
    try:
        found = annotated_images(tree, images)
    except UserError:
        return None
    if 2 * len(found) <= len(images) or not images:
        return None
    train, test = _folder_splits(there, tree.root) or ("train", "test")
    described = f"{len(found)} images with annotations as VOC has them"
    return Recognized("voc", tree.root, train, test, True, described)


def _by_split(tree: Tree, there: Sequence[str]) -> Recognized | None:
    images = _images(there)
    if not images or (splits := _folder_splits(images, tree.root)) is None:
        return None
    train, test = splits
    inside = [path.split("/")[1:-1] for path in images if path.startswith(f"{train}/")]
    classes = {parts[0] for parts in inside if parts} if all(inside) else set()
    found = f"{len(classes) or 'no'} classes by folder"
    where = (
        f"splits {train} and {test}"
        if any(path.startswith(f"{test}/") for path in images)
        else f"split {train}"
    )
    described = f"{counted(len(images), 'image')} in the {where}, {found}"
    return Recognized("folder" if classes else "images", tree.root, train, test, bool(classes), described)


def _by_folder(tree: Tree, there: Sequence[str]) -> Recognized | None:
    images = _images(there)
    if not images:
        return None
    amount = counted(len(images), "image")
    if any("/" not in path for path in images):
        return Recognized("images", tree.root, "train", "test", False, f"{amount} without labels")
    folders = {path.partition("/")[0] for path in images}
    described = f"{amount} in {counted(len(folders), 'folder')}, which are taken for classes"
    return Recognized("folder", tree.root, "train", "test", True, described)


def _images(paths: Sequence[str]) -> list[str]:
    return list(filter(is_image, paths))


def _folder_splits(paths: Sequence[str], root: str) -> tuple[str, str] | None:
    """The splits that folders in the root are named as, if there is one to train and one to test on.

    One to train on is enough where there is nothing else: what to test on is drawn from it.
    """
    folders = {path.partition("/")[0] for path in paths if "/" in path}
    alone = len(folders) == 1 and all("/" in path for path in paths)
    return _pair(folders, root) if folders & {*_TRAIN} and (alone or folders & {*_TEST}) else None


def _pair(names: Collection[str], where: str) -> tuple[str, str]:
    """The names to train and to test on; where `val` is all there is to test on, `trainval` would hold it."""
    test = next((name for name in _TEST if name in names), "test" if len(names) == 1 else None)
    known = _TRAIN if test in ("test", "testing") else _TRAIN[1:]
    train = next((name for name in known if name in names), None)
    if train is None or test is None:
        there = ", ".join(sorted(map(str, names))) or "none"
        raise UserError(f"{where}: no splits to train and to test on; it has {there}")
    return train, test
