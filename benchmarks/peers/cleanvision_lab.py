"""cleanvision: the pictures of a folder, by its own issue types and thresholds."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from serve import serve

_ISSUES = ("dark", "light", "blurry", "low_information", "odd_aspect_ratio", "odd_size")


def _prepare(given: dict[str, Any]):
    from importlib.metadata import version

    from cleanvision import Imagelab

    def run() -> dict[str, Any]:
        # its progress fills a pipe that nobody reads
        with (
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            lab = Imagelab(data_path=given["folder"])
            lab.find_issues({name: {} for name in _ISSUES}, n_jobs=1, verbose=False)
        return {
            name: sorted(Path(path).name for path in lab.issues.index[lab.issues[f"is_{name}_issue"]])
            for name in _ISSUES
        }

    return {"version": version("cleanvision")}, run


serve(_prepare)
