"""The unit cache: what a stage made of one layer, kept by all that decides it.

    <root>/<stage>/<digest>/     the files, the recipe version, and files.json with their sha256

A stage that works layer by layer asks here first, so a kill costs the layer at work and a parameter that is
set back costs nothing. A unit is written in a folder beside and renamed, so it is whole or not there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Self

from ..files.atomic import atomic_write, whole_folder
from ..files.digests import digest_of, sha256_of
from ..files.json_file import write_json

_CONTENTS = "files.json"
_IN_USE = "in-use.json"
_RECIPE = "recipe"  # the version that a unit was made by


class UnitCache:
    """The units of one stage; as a context, it notes at the end which of them this run took.

    Parameters
    ----------
    root : path
        Of all stages' units.
    stage : str
    recipe : int
        The stage's recipe version, which is a part of every key.
    """

    def __init__(self, root: Path, stage: str, recipe: int) -> None:
        self._folder, self._recipe = root / stage, recipe
        self._used: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._folder.is_dir():
            write_json(self._folder / _IN_USE, sorted(set(self._used)))

    def put(
        self,
        key: Mapping[str, Any],
        outputs: Mapping[str, Path],
        make: Callable[[Path], None],
        beside: Collection[str] = (),
    ) -> bool:
        """Put the files of a unit where they are wanted, made anew only if they are not kept.

        Parameters
        ----------
        key : mapping
            All else that decides the files, as plain JSON values.
        outputs : {name: path}
        make : function
            Writes every file of `outputs` and `beside`, by its name, into the folder that it is given. A
            folder of files will do as well.
        beside : names
            Of files that the unit keeps for itself. One that lacks them is whole; `latest` passes it over.

        Returns
        -------
        bool
            Whether it was made anew.
        """
        unit = self._folder / digest_of({"recipe": self._recipe, **key})
        made = not _is_whole(unit, outputs)
        if made:
            shutil.rmtree(unit, ignore_errors=True)
            unfinished = self._folder / f".{uuid.uuid4().hex}"
            unfinished.mkdir(parents=True)
            try:
                make(unfinished)
                (unfinished / _RECIPE).write_text(str(self._recipe))
                names = [*outputs, *beside, _RECIPE]
                write_json(unfinished / _CONTENTS, {n: sha256_of(unfinished / n) for n in names})
                _put_in_place(unfinished, unit, outputs)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        for name, path in outputs.items():
            _copy(unit / name, path)
        os.utime(unit)
        self._used.append(unit.name)
        return made

    def latest(self, names: Collection[str], fits: Callable[[Path], bool]) -> Path | None:
        """The unit that was put last by this recipe, of those with such files, whole, that `fits` takes.

        What is to be made next can be made from it, where that is cheaper. None if there is none. One that
        another run removes meanwhile is none.
        """
        put_at = {}
        for unit in self._folder.glob("[!.]*"):
            with contextlib.suppress(FileNotFoundError):
                put_at[unit] = unit.stat().st_mtime_ns
        for unit in sorted(filter(Path.is_dir, put_at), key=put_at.__getitem__, reverse=True):
            with contextlib.suppress(FileNotFoundError):
                whole = fits(unit) and _is_whole(unit, [*names, _RECIPE])
                if whole and (unit / _RECIPE).read_text() == str(self._recipe):
                    return unit
        return None


def remove_unused(root: Path) -> tuple[int, int]:
    """Remove the units that no stage's last run took; gives how many, and their bytes."""
    count = size = 0
    for stage, units in _units(root).items():
        noted = root / stage / _IN_USE
        in_use = set(json.loads(noted.read_text())) if noted.is_file() else set()
        for unit in [path for path in units if path.name not in in_use]:
            count, size = count + 1, size + _bytes_of(unit)
            shutil.rmtree(unit)
    return count, size


def unit_usage(root: Path) -> tuple[int, int]:
    """How many units there are, of all stages, and their bytes."""
    units = [unit for of_stage in _units(root).values() for unit in of_stage]
    return len(units), sum(map(_bytes_of, units))


def _units(root: Path) -> dict[str, list[Path]]:
    """The folders of each stage's units, unfinished ones among them."""
    stages = [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    return {stage.name: sorted(path for path in stage.iterdir() if path.is_dir()) for stage in stages}


def _bytes_of(unit: Path) -> int:
    return sum(path.stat().st_size for path in unit.rglob("*") if path.is_file())


def _copy(kept: Path, path: Path) -> None:
    """Copy a file or a folder: an output that is edited must not change what is kept."""
    if kept.is_dir():
        with whole_folder(path) as unfinished:
            shutil.copytree(kept, unfinished, dirs_exist_ok=True)
    else:
        with atomic_write(path) as temporary:
            shutil.copyfile(kept, temporary)


def _put_in_place(unfinished: Path, unit: Path, names: Collection[str]) -> None:
    try:
        unfinished.rename(unit)
    except OSError:  # another run was first: what it made is the same
        if not _is_whole(unit, names):
            raise


def _is_whole(unit: Path, names: Collection[str]) -> bool:
    """Whether it has such files, and every file is as it was made."""
    try:
        contents = json.loads((unit / _CONTENTS).read_text())
        return contents.keys() >= set(names) and all(
            sha256_of(unit / name) == digest for name, digest in contents.items()
        )
    except (OSError, ValueError, AttributeError):
        return False
