"""Part a: the tests that are marked `gpu`, each told as it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from benchmarks.gpu_check.check import Check
from benchmarks.gpu_check.missing import missing_package
from benchmarks.gpu_check.own_package import ROOT

_MARK = "pytest.mark.gpu"


def run(check: Check) -> None:
    """Run pytest, with `told_tests.py` in it, on the files that have such tests."""
    import pytest  # noqa: F401 - where it is missing, this part is

    # only these: collecting the others takes time, and packages that a machine with a card may not have
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if _MARK in path.read_text("utf-8")]
    files.sort(key=lambda path: (path.parent.name == "cli", path))  # whole commands last: they take longest
    reading, writing = os.pipe()
    # what a test prints is seen: an abort of FAISS's or CUDA's says why, and pytest would have kept it
    plugins = ["-p", "benchmarks.gpu_check.told_tests", "-p", "no:cacheprovider"]
    options = ["-s", "-m", "gpu", *plugins, "--tb=short"]
    basetemp = f"--basetemp={check.scratch / 'tests'}"
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, basetemp, "--continue-on-collection-errors", *files],
        cwd=ROOT,
        pass_fds=[writing],
        env=os.environ | {"POOL5_TOLD_TESTS": str(writing)},
    )
    os.close(writing)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    at_work = ""
    with os.fdopen(reading, encoding="utf-8") as told:
        for line in map(json.loads, told):
            if "began" in line:
                at_work = line["began"]
                continue
            outcome, why = line["outcome"], line["why"]
            if outcome == "failed" and (package := missing_package(why)):
                outcome, why = "skipped", f"it needs {package}, which is not installed"
            counts[outcome] += 1
            passed = {"passed": True, "failed": False, "skipped": None}[outcome]
            check.tell(line["test"], passed, seconds=line["seconds"], why=why)
    code = process.wait()
    known = code in (0, 1, 2, 5)  # all passed, some failed, some files cannot be imported, there were none
    why = f"pytest ended with {code}{at_work and f' at {at_work}'}"
    check.tell("all tests marked gpu", known, **counts, why="" if known else why)
