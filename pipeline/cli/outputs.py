"""What DVC noted of every output when its stage had run, and whether the files are still that."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..telling import remedy


@dataclasses.dataclass(frozen=True)
class Output:
    """An output in dvc.lock: the stage, where it is, and its MD5 (a folder: that of its listing)."""

    stage: str
    path: Path
    md5: str


def outputs_of(root: Path) -> list[Output]:
    """The outputs that are noted in a project's dvc.lock; none without one.

    DVC keeps what it noted of stages that dvc.yaml has no more; that is left out.
    """
    noted, graph = _stages(root / "dvc.lock"), _stages(root / "dvc.yaml")
    return [
        Output(stage, root / out["path"], out["md5"])
        for stage, entry in noted.items()
        for out in entry.get("outs", ())
        if "md5" in out and (not graph or _is_in(graph, stage))
    ]


def _is_in(graph: dict[str, Any], stage: str) -> bool:
    name, at, _ = stage.partition("@")
    return name in graph and bool(at) == ("foreach" in graph[name])


def _stages(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return yaml.safe_load(path.read_text(encoding="utf-8")).get("stages") or {}


def changed(output: Output, root: Path) -> Iterator[tuple[Path, str]]:
    """Every file of an output that is there and is not as it was noted, with what mends it."""
    if output.path.is_file():
        found, noted = {output.path: _md5(output.path)}, {output.path: output.md5}
    elif output.path.is_dir():
        found = {path: _md5(path) for path in sorted(output.path.rglob("*")) if path.is_file()}
        listing = [
            {"md5": md5, "relpath": path.relative_to(output.path).as_posix()} for path, md5 in found.items()
        ]
        listing.sort(key=lambda each: each["relpath"])
        if f"{hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest()}.dir" == output.md5:
            return
        try:
            kept = json.loads(_kept(root, output.md5).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # the listing is not in this cache: which file it is cannot be said
            yield output.path, remedy(output.stage, force=True)
            return
        noted = {output.path / each["relpath"]: each["md5"] for each in kept}
    else:
        return  # not here, as after a clone: DVC says so itself
    for path in sorted(found.keys() | noted.keys()):
        if found.get(path) != noted.get(path):
            yield path, _mending(root, output, noted.get(path))


def _mending(root: Path, output: Output, md5: str | None) -> str:
    """DVC links outputs to its cache: what was changed in place is changed there as well."""
    if md5 is not None and (kept := _kept(root, md5)).is_file():
        if _md5(kept) != md5:
            return f"DVC's copy is changed too: remove {kept}, then {remedy(output.stage, force=True)}"
        return f"run `dvc checkout --force {output.path}`"
    return remedy(output.stage, force=True)


def _kept(root: Path, md5: str) -> Path:
    return root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
