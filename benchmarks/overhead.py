"""What DVC and the stages cost beyond the work inside them, on a small project of the whole graph."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import yaml

from benchmarks.contest import DIFFERENT, Peer, Row, contest, timed

_ROOT = Path(__file__).resolve().parents[1]


def overhead_rows(scratch: Path, runs: int = 3) -> list[Row]:
    """`dvc repro` with nothing to do and with one parameter changed; a stage beside the work inside it."""
    project = scratch / "project"
    try:
        stages = _make_project(project)
    except subprocess.CalledProcessError as error:
        told = (error.stderr or error.stdout or "").strip().split("\n")[-1]
        why = f"the small project's dvc repro failed: {told[:160]}"
        return [Row("dvc repro", "", "Pool5", "DVC", "", None, None, None, 0, f"not run: {why}")]
    empty = scratch / "empty"
    _make_empty(empty, stages)
    nothing = contest(
        "dvc repro, nothing to do",
        f"the whole graph of one model, {stages} stages",
        "Pool5's graph",
        timed(lambda: _dvc(project, "repro")),
        [
            Peer(
                "a graph of as many empty stages (limit)",
                f"dvc {version('dvc')}",
                timed(lambda: _dvc(empty, "repro")),
                lambda ours, theirs: (_up_to_date(ours) and _up_to_date(theirs)) or DIFFERENT + "stages ran",
                note="DVC looks at every file and parameter that a stage depends on; an empty one has one",
            )
        ],
        runs,
    )
    perplexities = iter(range(5, 25))

    def changed() -> str:
        _set(project, "tsne", "perplexity", float(next(perplexities)))
        return _dvc(project, "repro")

    def alone() -> str:
        for command in (["pool5.stages.tsne", "resnet18/fc7"], ["pool5.stages.report"]):
            _run(project, [sys.executable, "-m", *command])
        return ""

    def check(ours: str, theirs: str) -> str:
        ran = [line.split("'")[1] for line in ours.split("\n") if line.startswith("Running stage")]
        return f"stages that ran: {', '.join(ran)}"

    one = contest(
        "dvc repro, one parameter changed (tsne.perplexity)",
        "the same graph",
        "Pool5's graph",
        timed(changed),
        [
            Peer(
                "the commands of tsne and report, without DVC (limit)",
                "",
                timed(alone),
                check,
                note="the difference is DVC's: starting, hashing what was written, its cache",
            )
        ],
        runs,
    )
    inside = (
        "import sys, time; from pool5.stages.tsne import main; main('resnet18/fc7'); t = time.perf_counter();"
        " main('resnet18/fc7'); print(time.perf_counter() - t)"
    )

    def in_a_warm_process() -> tuple[float, str]:
        return float(_run(project, [sys.executable, "-c", inside]).strip().split("\n")[-1]), ""

    stage = contest(
        "a stage beside the work inside it (tsne)",
        "150 images",
        "python -m pool5.stages.tsne",
        timed(lambda: _run(project, [sys.executable, "-m", "pool5.stages.tsne", "resnet18/fc7"])),
        [
            Peer(
                "the same function in a process that has done it once (limit)",
                "",
                in_a_warm_process,
                lambda ours, theirs: "the same figures are written",
                note="the difference is Python's start and its imports",
            )
        ],
        runs,
    )
    return [*nothing, *one, *stage]


def _make_project(project: Path) -> int:
    """A copy of the committed project with small params, run once; gives the number of its stages."""
    _run(_ROOT, ["git", "clone", "--quiet", str(_ROOT), str(project)])
    (project / ".venv").symlink_to(_ROOT / ".venv")
    document = yaml.safe_load((project / "params.yaml").read_text())
    spec = {
        "architecture": "resnet18",
        "weights": "random",
        "layers": {"fc7": "flatten", "logits": "fc"},
        "preprocess": {"resize": 72, "crop": 64},
        "train": None,
    }
    document["dataset"]["sample"] = {"seed": 0, "train": 90, "val": 30, "test": 150, "source": 10}
    document["models"] = {"resnet18": spec}
    document["index"]["of"] = document["neighbors"]["of"] = document["tsne"]["of"] = ["resnet18/fc7"]
    document["index"]["queries"] = 20
    document["tsne"] |= {"perplexity": 4.0, "stability_seeds": 0}
    document["duplicates"]["of"] = "resnet18/fc7"
    document["probe"] = {"frozen": {"of": "resnet18/fc7", "C": [1.0], "folds": 2}}
    document["ap"] |= {"of": ["resnet18", "frozen"], "bootstrap": 20}
    (project / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    _dvc(project, "repro")
    return _dvc(project, "stage", "list").strip().count("\n") + 1


def _make_empty(folder: Path, stages: int) -> None:
    folder.mkdir()
    graph = {
        f"s{i}": {"cmd": f"touch o{i}", "outs": [f"o{i}"], "deps": [f"o{i - 1}"] if i else []}
        for i in range(stages)
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": graph}))
    _run(folder, [sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"])
    _dvc(folder, "repro")


def _set(project: Path, section: str, key: str, value: float) -> None:
    path = project / "params.yaml"
    document = yaml.safe_load(path.read_text())
    document[section][key] = value
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _up_to_date(told: str) -> str:
    return "nothing ran on either side" if "Running stage" not in told else ""


def _dvc(folder: Path, *arguments: str) -> str:
    return _run(folder, [sys.executable, "-m", "dvc", *arguments])


def _run(folder: Path, command: list[str]) -> str:
    environment = os.environ | {"CI": "1", "DVC_NO_ANALYTICS": "1"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout
