"""A plugin of pytest that tells each test as it ends, to the pipe of `marked_tests.py`."""

from __future__ import annotations

import json
import os

import pytest


def pytest_runtest_logstart(nodeid: str) -> None:
    """Which test is at work, should the process end in it."""
    _send({"began": nodeid})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test's own outcome; what goes wrong before or after it is told as well."""
    if report.when == "call" or report.outcome != "passed":
        _tell(report.nodeid, report.outcome, report.duration, report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported, or that skips itself."""
    if report.outcome != "passed":
        _tell(report.nodeid, report.outcome, 0.0, report)


def _tell(test: str, outcome: str, seconds: float, report: pytest.TestReport | pytest.CollectReport) -> None:
    why = report.longrepr
    told = why[2] if isinstance(why, tuple) else report.longreprtext[-3000:]
    _send({"test": test, "outcome": outcome, "seconds": round(seconds, 2), "why": told})


def _send(line: dict[str, object]) -> None:
    os.write(int(os.environ["POOL5_TOLD_TESTS"]), json.dumps(line).encode() + b"\n")
