"""Part b: the sample's pipeline in small, stage by stage as `dvc repro` runs it, twice: the same bytes?"""

from __future__ import annotations

import concurrent.futures
import copy
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.gpu_check.check import Check
from benchmarks.gpu_check.missing import missing_package
from benchmarks.gpu_check.own_package import ROOT
from tests.e2e.audited import stages_of

_SAMPLE = {"seed": 0, "train": 96, "val": 32, "test": 96, "source": 96}
_QUICK_SAMPLE = {"seed": 0, "train": 24, "val": 8, "test": 32, "source": 16}
# of the sample's params.yaml: what takes the time of many images
_SHORT = {
    "index": {"queries": 20},
    "neighbors": {"depth": 20, "bootstrap": 50},
    "tsne": {"sample": 80, "perplexity": 8, "stability_seeds": 1},
    "maps": {"methods": ["pca"], "clusters": "kmeans", "k": 4, "sample": 80, "stability_seeds": 1},
    "compare": {"bootstrap": 50, "permutations": 3},
    "outliers": {"listed": 10},
    "label_issues": {"listed": 10, "least": 0.01},
    "ap": {"bootstrap": 50},
}
_MODELS = ("caffenet", "resnet18-source", "resnet18-finetuned")
_QUICK_MODELS = _MODELS[:2]
_FOLDERS = ("first", "second")
_MAY_LACK = ("index", "tsne", "maps")  # stages without which the others have all that they need


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage as dvc.yaml has it, its variables filled in."""

    name: str
    command: str
    deps: list[str]
    outs: list[str]


@dataclasses.dataclass(frozen=True)
class Done:
    """What a stage came to: `passed`, `failed` or `skipped`, with the reason."""

    stage: str
    status: str
    seconds: float
    host_mb: int
    why: str = ""


def run(check: Check) -> None:
    """Run every stage in both folders, side by side, and compare all that they put out."""
    params = short_params(check.device, check.quick)
    projects = [check.scratch / name for name in _FOLDERS]
    for project in projects:
        write_project(project, params)
    stages = list(stages_in(projects[0]))
    runs = [run_stages(project, stages) for project in projects]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for stage in stages:
            pair = list(pool.map(next, runs))
            _tell(check, pair, differing(*(outputs_of(project, [stage]) for project in projects)))
    told = [outputs_of(project, stages) for project in projects]
    other = differing(*told)
    check.tell(
        "the same bytes in both folders",
        not other,
        files=len(told[0]),
        differ=len(other),
        why=_named(other),
        md5=hashlib.md5(json.dumps(told[0], sort_keys=True).encode()).hexdigest(),
    )


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """The files that are not the same in both folders."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _named(files: list[str]) -> str:
    return f"{', '.join(files[:8])}{' …' * (len(files) > 8)} differ" if files else ""


def short_params(device: str, quick: bool) -> dict[str, Any]:
    """The sample's params.yaml, trainings and all, in so small that it takes a minute."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["dataset"]["sample"] = _QUICK_SAMPLE if quick else _SAMPLE
    for section, changes in _SHORT.items():
        params[section] |= changes
    params["extract"] |= {"device": device}
    for model in params["models"].values():
        model["train"] |= {"epochs": 1, "batch_size": 16, "warmup_epochs": 0, "device": device}
    # the arithmetic that a card is for
    params["models"]["caffenet"]["train"] |= {"precision": "auto"}
    return _of_models(params, _QUICK_MODELS if quick else _MODELS)


def _of_models(params: dict[str, Any], models: tuple[str, ...]) -> dict[str, Any]:
    """The params of some models: what names another one is left out, and sections that then name nothing."""
    kept = copy.deepcopy(params)
    kept["models"] = {name: model for name, model in params["models"].items() if name in models}
    for section in ("derive", "probe"):
        those = params[section].items()
        kept[section] = {name: one for name, one in those if one["of"].split("/")[0] in models}
    known = {*models, *kept["derive"], *kept["probe"]}
    for section in _SHORT | {"duplicates": None}:
        of = kept[section]["of"]
        those = [name for name in ([of] if isinstance(of, str) else of) if name.split("/")[0] in known]
        if not those:
            del kept[section]
        else:
            kept[section]["of"] = those if isinstance(of, list) else those[0]
    return kept


def write_project(folder: Path, params: Mapping[str, Any]) -> None:
    """A project with the checkout's graph and recipes."""
    (folder / "bin").mkdir(parents=True)
    for name in ("dvc.yaml", "recipes.yaml"):
        shutil.copy(ROOT / name, folder / name)
    # by way of JSON: what two sections share would be written as an alias, which is refused
    plain = json.loads(json.dumps(params))
    (folder / "params.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    # dvc.yaml calls `python`, which is not everywhere, nor everywhere this one
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)


def stages_in(folder: Path) -> Iterator[Stage]:
    """The stages of a project in an order in which they can run."""
    graph, params = (yaml.safe_load((folder / name).read_text()) for name in ("dvc.yaml", "params.yaml"))
    start = graph["vars"][0]["run"]
    for name, item, stage in stages_of(graph, params):
        outs = [*stage["outs"], *stage.get("metrics", [])]
        names = [path for out in outs for path in ([out] if isinstance(out, str) else out)]
        command = stage["cmd"].replace("${run}", start)
        yield Stage(name if item is None else f"{name}@{item}", command, stage["deps"], names)


def run_stages(project: Path, stages: list[Stage]) -> Iterator[Done]:
    """Run them one after the other; not those that need what an earlier one failed to make."""
    absent = dict[str, str]()  # what was not made: the stage that should have
    for stage in stages:
        # of a folder that is needed, too, what lies in it
        lacking = [out for out in absent for dep in stage.deps if out == dep or out.startswith(f"{dep}/")]
        needed = {absent[out] for out in lacking}
        if needed:
            done = Done(stage.name, "skipped", 0.0, 0, f"it needs what {', '.join(sorted(needed))} makes")
        else:
            done = run_stage(project, stage)
        if done.status == "skipped" and stage.name in _MAY_LACK:
            leave_gap(project, stage)
        absent |= {out: stage.name for out in stage.outs if not (project / out).exists()}
        yield done


def leave_gap(project: Path, stage: Stage) -> None:
    """For a stage that lacks a package, put out what it would for an empty section: folders, no figures."""
    for out in stage.outs:
        if out.startswith("reports/metrics/"):
            (project / out).parent.mkdir(parents=True, exist_ok=True)
            (project / out).write_text("{}\n")
        elif not Path(out).suffix:
            (project / out).mkdir(parents=True, exist_ok=True)


def run_stage(project: Path, stage: Stage) -> Done:
    """Run the command of a stage by the shell, with the environment that DVC gives it."""
    path = f"{project / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "DVC_STAGE": stage.name, "DVC_ROOT": str(project)}
    environment.setdefault(
        "OMP_WAIT_POLICY", "passive"
    )  # the other folder's stage is at work on the same cores
    log, began = project.with_name(f"{project.name}-{stage.name}.log"), time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            stage.command,
            shell=True,
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, said = time.monotonic() - began, log.read_text(errors="replace")
    missing = [out for out in stage.outs if not (project / out).exists()]
    if process.returncode == 0 and not missing:
        status, why = "passed", ""
    elif package := missing_package(said):
        status, why = "skipped", f"it needs {package}, which is not installed"
    else:
        end = " | ".join(said.strip().splitlines()[-3:])
        status, why = "failed", f"exit code {process.returncode}, not made: {missing[:4]}; {end}"
    return Done(stage.name, status, seconds, usage.ru_maxrss // 1024, why)


def outputs_of(project: Path, stages: list[Stage]) -> dict[str, str]:
    """The MD5 of every file that the stages put out: {path: digest}."""
    places = [project / out for stage in stages for out in stage.outs]
    files = {path for place in places for path in [place, *place.rglob("*")] if path.is_file()}
    return {
        str(path.relative_to(project)): hashlib.md5(path.read_bytes()).hexdigest() for path in sorted(files)
    }


def _tell(check: Check, pair: list[Done], other: list[str]) -> None:
    """What a stage came to in both folders, and which of its files are not the same there."""
    worst = next((done for bad in ("failed", "skipped") for done in pair if done.status == bad), pair[0])
    check.tell(
        worst.stage,
        {"passed": not other, "failed": False, "skipped": None}[worst.status],
        seconds=max(done.seconds for done in pair),
        stage_mb=max(done.host_mb for done in pair),
        why=worst.why or _named(other),
    )
