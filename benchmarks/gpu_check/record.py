"""The one JSON file of a check: written anew at each line, read again, put together from several runs."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.own_package import ROOT
from benchmarks.gpu_check.supervise import Ended

FORMAT, VERSION = "pool5 gpu-check", 1


def slug(device: str, machine: dict[str, Any]) -> str:
    """What the file is called after: `nvidia-h100-80gb-hbm3`, or `cpu`."""
    name = machine["card"]["name"] if machine["card"] else device
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


class Record:
    """What a check has found until now, in `folder`.

    Parameters
    ----------
    about : dict
        `machine` and `versions`, as `machine.py` tells them.
    commit : str or None
        Of what is checked.
    """

    def __init__(
        self, folder: Path, about: dict[str, Any], device: str, quick: bool, commit: str | None
    ) -> None:
        self.path = folder / f"gpu-{slug(device, about['machine'])}.json"
        head = {"format": FORMAT, "version": VERSION, "device": device, "quick": quick, "commit": commit}
        # parts that are not checked now stay, each with its own commit; but small and whole do not mix
        before = read_record(self.path) if self.path.exists() else {"quick": quick, "parts": {}}
        kept = before["parts"] if before["quick"] == quick else {}
        self.document: dict[str, Any] = head | about | {"parts": kept}

    def put(self, ended: Ended) -> None:
        """Keep what a part has told until now."""
        part = dataclasses.asdict(ended) | {"failures": ended.failures, "commit": self.document["commit"]}
        parts = self.document["parts"] | {ended.part: part}
        self.document["parts"] = dict(sorted(parts.items()))
        write_record(self.document, self.path)


def write_record(document: dict[str, Any], path: Path) -> None:
    """Write it whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(path)


def read_record(path: Path) -> dict[str, Any]:
    """Read what `write_record` wrote.

    Raises
    ------
    ValueError
        If the file is another one.
    """
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or (document.get("format"), document.get("version")) != (
        FORMAT,
        VERSION,
    ):
        raise ValueError(f"{path}: not a record of gpu-check, version {VERSION}; remove it, or name another")
    return document


def joined(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Several runs on one kind of card as one: of a part that several have, the last one's."""
    whole = documents[-1]
    parts = {letter: part for document in documents for letter, part in document["parts"].items()}
    return whole | {"parts": dict(sorted(parts.items()))}


def commit_of(root: Path = ROOT) -> str | None:
    """The commit of the checkout, with a `+` where files differ from it; None without git."""
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + "+" * bool(changed)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()
