"""Parts of a check that go wrong in every way; run in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from benchmarks.gpu_check.check import Check


def passes(check: Check) -> None:
    check.tell("one", True, rate=123.456789)
    check.tell("two", rate=float("nan"))


def fails(check: Check) -> None:
    check.tell("far", False, why="too\nfar")
    check.tell("near", True)


def raises(check: Check) -> None:
    check.tell("before", True)
    raise RuntimeError("no such kernel")


def is_killed(check: Check) -> None:
    check.tell("before", True)
    os.kill(os.getpid(), signal.SIGKILL)


def aborts(check: Check) -> None:
    print("CUDA: a device-side assert", file=sys.stderr, flush=True)
    os._exit(3)


def hangs(check: Check) -> None:
    sleeper = subprocess.Popen(["sleep", "600"])
    check.tell("before", True, child=os.getpid(), sleeper=sleeper.pid)
    time.sleep(600)


def needs_more(check: Check) -> None:
    check.tell("before", True)
    import no_such_package_anywhere  # noqa: F401
