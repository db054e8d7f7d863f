"""Which tar files are a data set's shards, and of which split."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping

from ...errors import UserError
from ...files.hints import counted, some_of
from ...images.address import Address
from ...params import Dataset
from ..dataset_files import of_splits
from ..drawing import splits_to_list
from ..listing import UNSPLIT, refuse_unsafe
from ..tree import Tree

_COMPRESSED = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST = 1_000_000  # names of one pattern


def shards_by_split(tree: Tree, dataset: Dataset, also: Collection[str] = ()) -> Mapping[str, list[str]]:
    """The shards of each split that is read, sorted; all of them under UNSPLIT where none says.

    `dataset.files` says which: {split: pattern}, or a pattern for all. `*` and `?` stand for any characters,
    `{000..146}` and `{a,b}` for several names, each of which must be there. Without: every .tar. A shard is
    of the split that is a word of its path: `train/000.tar`, `train-000.tar`, `birds_train_000.tar`.

    Raises
    ------
    UserError
        If there is no such shard, or it is not clear which split one is of.
    """
    named = dataset.splits(also)
    if isinstance(dataset.files, Mapping) and not dataset.lists:
        return {split: _matching(tree, name) for split, name in of_splits(dataset.files, named).items()}
    files = dataset.files or "*.tar"
    patterns = [files] if isinstance(files, str) else files.values()
    shards = sorted({path for pattern in patterns for path in _matching(tree, pattern)})
    by_split: dict[str, list[str]] = {split: [] for split in named}
    for shard in shards:
        words = re.split(r"[^0-9A-Za-z]+", shard.removesuffix(".tar"))
        found = [split for split in named if _holds(words, re.split(r"[^0-9A-Za-z]+", split))]
        if len(found) > 1:
            raise UserError(
                f"{tree.where(shard)}: of the split {' or '.join(found)}? Say so in dataset.files: "
                "{<split>: <pattern>, …}"
            )
        for split in found:
            by_split[split].append(shard)
    if dataset.lists or not any(by_split.values()):
        return {UNSPLIT: shards}
    there = [split for split, found in by_split.items() if found]
    others = set(shards).difference(*by_split.values())  # each may be one of a split
    needed = splits_to_list(dataset, also, [*there, *others])
    for split in needed:
        if not by_split[split]:
            raise UserError(
                f"{tree.root}: no shard of the split {split}; there are {some_of(shards, 5)}; name them in "
                "dataset.files: {<split>: <pattern>, …}"
            )
    return {split: by_split[split] for split in needed}


def _holds(words: list[str], name: list[str]) -> bool:
    """Whether the words of a name stand in a row among `words`."""
    return any(words[at : at + len(name)] == name for at in range(len(words) - len(name) + 1))


def _matching(tree: Tree, pattern: str) -> list[str]:
    """The files of a pattern, sorted; from the root, with `/`."""
    names = _expanded(pattern)
    there = tree.files if set(pattern) & set("*?[") else names  # some places cannot be listed
    if there is not names:
        found = {path for name in names for path in there if fnmatch.fnmatchcase(path, name)}
    else:
        found = set(names)
    if not found:
        packed = [path for path in there if path.endswith(_COMPRESSED)]
        raise UserError(
            f"{tree.root}: no file {pattern}"
            + (f", only compressed ones, as {packed[0]}; pack them without compression" if packed else "")
        )
    for path in found:
        if path.startswith("/") or ".." in path.split("/"):
            raise UserError(f"dataset.files: {path}: give a path from dataset.root that stays in it")
        refuse_unsafe(path, "dataset.files")
        if path.endswith(_COMPRESSED):
            raise UserError(f"{tree.where(path)}: compressed, so no member can be read alone; unpack it")
        if Address.parse(f"{path}#a@0+0").file != path:
            raise UserError(f"{tree.where(path)}: a shard's name must end in .tar, once; rename it")
    return sorted(found)


def _expanded(pattern: str) -> list[str]:
    """What the braces of a pattern stand for, as a shell expands them."""
    names, whole = [""], pattern
    while group := _BRACES.search(pattern):
        numbers = _RANGE.fullmatch(group[1])
        choices = group[1].split(",")
        if numbers:
            first, last = int(numbers[1]), int(numbers[2])
            width = len(numbers[1]) if numbers[1].startswith("0") else 0
            count = last - first + 1
        else:
            count = len(choices)
        if count < 1 or count * len(names) > _MOST:
            raise UserError(f"dataset.files: {whole}: stands for {counted(max(0, count), 'name')}")
        if numbers:
            choices = [f"{number:0{width}d}" for number in range(first, last + 1)]
        names = [name + pattern[: group.start()] + choice for name in names for choice in choices]
        pattern = pattern[group.end() :]
    return [name + pattern for name in names]
