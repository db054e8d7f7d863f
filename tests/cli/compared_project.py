"""A git and DVC repository of small runs, for `pool5 compare`; run as a program it is the stage of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from pool5.project import Project
from tests.analysis.small_runs import put_run

ROOT = Path(__file__).parents[2]
RESULTS = [f"data/results/{name}.json" for name in ("ap", "retrieval")]
GRAPH = {
    "stages": {
        "all": {
            "cmd": f"{sys.executable} -m tests.cli.compared_project",
            "params": ["extract.precision"],
            "outs": ["data/features/net", "data/neighbors", "data/probes", *RESULTS],
        }
    }
}


def make_repository(folder: Path) -> Project:
    """A repository with a first run committed, and an experiment `noisy`."""
    project = put_run(folder, extract={"precision": "fp32"}).project
    project.params.write_text(yaml.safe_dump(json.loads(project.params.read_text()), sort_keys=False))
    project.graph.write_text(yaml.safe_dump(GRAPH, sort_keys=False))
    (folder / ".gitignore").write_text("/data/\n/images\n")
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "config", "core.analytics", "false")
    run(folder, "dvc", "commit", "--force", "--quiet")  # what is there is what the stage makes
    commit(folder, "the first run")
    run(folder, "dvc", "exp", "run", "--quiet", "-n", "noisy", "-S", "extract.precision=bf16")
    return project


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", message)


def run(folder: Path, *command: str) -> str:
    """What a command prints; it has to end well."""
    names = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = {"PATH": path, "PYTHONPATH": str(ROOT), **dict.fromkeys(names, "pool5@example.org")}
    done = subprocess.run(
        command, cwd=folder, env=os.environ | found, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


if __name__ == "__main__":
    asked = yaml.safe_load(Path("params.yaml").read_text())
    put_run(Path(), {"fp32": 1.0, "bf16": 3.0}[asked["extract"]["precision"]], params=False)
