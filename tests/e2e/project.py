"""A copy of the project in a folder of its own, driven as a user drives it."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from tiny import PARAMS, ROOT

# the program is installed; what a project has of its own is its graph, its params and its recipes
NO_PART_OF_A_PROJECT = ("tests/", "benchmarks/", "docs/", "pipeline/", "stages/", "shared/")


@dataclasses.dataclass(frozen=True)
class Finished:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def stages(self) -> list[str]:
        """The stages that `dvc repro` really ran, in order."""
        return re.findall(r"^Running stage '([^']+)':", self.out + self.err, re.MULTILINE)

    @property
    def complaint(self) -> str:
        """The one line that pool5 told the user."""
        lines = [line for line in self.err.splitlines() if line.startswith("pool5: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


class Project:
    """A git and DVC repository with the project's present files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def copy_to(cls, folder: Path, params: dict[str, Any]) -> Project:
        names = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
        for name in filter(None, names):
            if (ROOT / name).is_file() and not name.startswith(NO_PART_OF_A_PROJECT) and name != "dvc.lock":
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        project = cls(folder)
        project.write_params(params)
        project.git("init", "--quiet", "--initial-branch=main")
        project.commit("start")
        return project

    def clone_to(self, folder: Path) -> Project:
        self.git("clone", "--quiet", str(self.folder), str(folder))
        return Project(folder)

    def run(self, *command: str, **environment: str) -> Finished:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PATH": path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def repro(self, *arguments: str, **environment: str) -> Finished:
        return self.run("dvc", "repro", *arguments, **environment)

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=Pool5", "-c", "user.email=pool5@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True, capture_output=True)

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    @property
    def params(self) -> dict[str, Any]:
        return yaml.safe_load((self.folder / "params.yaml").read_text())

    def write_params(self, params: dict[str, Any]) -> None:
        plain = json.loads(json.dumps(params))  # no two keys share a value: YAML would make aliases of it
        (self.folder / "params.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))

    def set(self, **values: Any) -> None:
        """Set dotted keys of params.yaml, the dots written as `__`."""
        params = self.params
        for key, value in values.items():
            *parents, last = key.split("__")
            section = params
            for parent in parents:
                section = section[parent]
            section[last] = value
        self.write_params(params)


def small_params() -> dict[str, Any]:
    """The smallest params that ask every stage for something."""
    return copy.deepcopy(PARAMS)
