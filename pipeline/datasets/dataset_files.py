"""Which files `dataset.files` names: one, all of a pattern, or those of each split."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from ..errors import UserError
from ..files.hints import did_you_mean, some_of
from ..params import Dataset
from .drawing import splits_to_list
from .listing import refuse_unsafe
from .tree import Tree

TABLE = "images.csv"  # what a data set's table is called where nothing else is said
TABLES = (TABLE, "images.tsv", "images.jsonl", "images.parquet")
SEPARATORS = (";", "|", ",")  # that usually stand between names in a cell
_SHARD = re.compile(r"(?:.*/)?([^/]+)-\d{5}-of-\d{5}\.parquet")  # as Hugging Face's datasets name them


def named_files(tree: Tree, name: str) -> list[str]:
    """The files that a name or a pattern means, sorted; a pattern is one of a .gitignore, from the root.

    Raises
    ------
    UserError
        If a pattern fits no file, or a name leads out of the root.
    """
    refuse_unsafe(name, "dataset.files")
    if not any(sign in name for sign in "*?["):
        return [name]  # the tree may be large: it is not walked for one file
    import pathspec

    found = sorted(pathspec.GitIgnoreSpec.from_lines([f"/{name.lstrip('/')}"]).match_files(tree.files))
    if not found:
        raise UserError(f"dataset.files: {name}: no such file in {tree.root}")
    return found


def files_by_split(tree: Tree, dataset: Dataset, also: Collection[str]) -> dict[str | None, list[str]]:
    """The files of each split that is used; under None those whose names do not say which split they are.

    Raises
    ------
    UserError
        If a split that is used has none.
    """
    files = dataset.files or {}
    if isinstance(files, str):
        return split_by_name(named_files(tree, files), dataset, also)
    named = of_splits(files, dataset.splits(also))
    return {split: named_files(tree, name) for split, name in named.items()}


def of_splits(files: Mapping[str, str], named: Collection[str]) -> dict[str, str]:
    """Those of the splits of `named`; `UserError` if one has none."""
    _refuse_lacking(named, list(files), "dataset.files")
    return {split: files[split] for split in named}


def split_by_name(paths: list[str], dataset: Dataset, also: Collection[str]) -> dict[str | None, list[str]]:
    """`train-00000-of-00002.parquet` is one of split train, if all are named so and there are two splits."""
    shards = [_SHARD.fullmatch(path) for path in paths]
    splits: dict[str | None, list[str]] = {}
    for path, shard in zip(paths, shards, strict=True):
        splits.setdefault(shard[1] if shard else None, []).append(path)
    if None in splits or len(splits) < 2:
        return {None: paths}
    there = sorted(filter(None, splits))
    named = splits_to_list(dataset, also, there)
    _refuse_lacking(named, there, "dataset")
    return {split: splits[split] for split in named}


def _refuse_lacking(named: Collection[str], there: Collection[str], where: str) -> None:
    for split in named:
        if split not in there:
            raise UserError(
                f"{where}: no file of split {split}{did_you_mean(split, there)}; "
                f"there are: {', '.join(there)}"
            )


def split_of(path: str) -> str | None:
    """The split that a file is of by its name, in Hugging Face's layout."""
    found = _SHARD.fullmatch(path)
    return found[1] if found else None


def shards_in(tree: Tree) -> list[str]:
    """The files in Hugging Face's layout; they must lie in one folder.

    Raises
    ------
    UserError
        If there are such files in more than one.
    """
    found = [path for path in tree.files if _SHARD.fullmatch(path)]
    folders = sorted({path.rpartition("/")[0] for path in found})
    if len(folders) > 1:
        raise UserError(
            f"{tree.root}: tables in more than one folder: {some_of(folders)}; choose with dataset.files, as "
            f"{folders[0] or '.'}/*.parquet"
        )
    return found
