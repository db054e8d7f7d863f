"""A part in a process of its own, with a time limit: its lines as they come, and how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.own_package import ROOT
from benchmarks.gpu_check.parts import Part

_DEATH_S = 10
_LOOK_S = 0.25  # how often it is looked whether the process is still there
_LAST_WORDS = 2000  # characters


@dataclasses.dataclass
class Ended:
    """What a part came to.

    Attributes
    ----------
    status : str
        `running`, `passed`, `failed` (it told of something that is not as it should be), `crashed`, `cut off`
        or `skipped`.
    why : str
        Of the last three.
    said : str
        The end of what it printed, of one that failed.
    lines : list of dict
        What it told; see `Check.tell`.
    """

    part: str
    name: str
    status: str = "running"
    seconds: float = 0.0
    why: str = ""
    said: str = ""
    lines: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """A line each."""
        wrong = [line for line in self.lines if line.get("ok") is False]
        found = [f"{line['what']}: {line['why']}" if line.get("why") else line["what"] for line in wrong]
        if self.status in ("crashed", "cut off"):
            found.append(f"{self.status}: {self.why}")
        return [" ".join(f"{self.part} {self.name}: {text}".split()) for text in found]


def supervise(
    part: Part,
    *,
    device: str,
    quick: bool,
    scratch: Path,
    limit_s: float,
    environment: Mapping[str, str],
    heard: Callable[[Ended], None] = lambda ended: None,
) -> Ended:
    """Run a part, and end it with all that it started once its time is over.

    Parameters
    ----------
    heard : (Ended) -> None
        Called after each line.
    """
    ended, began = Ended(part.letter, part.name), time.monotonic()
    scratch.mkdir(parents=True)
    reading, writing = os.pipe()
    told = {"run": part.run, "device": device, "quick": quick, "scratch": str(scratch), "limit_s": limit_s}
    log = scratch / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu_check.child", json.dumps(told | {"pipe": writing})],
            pass_fds=[writing],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # so that all of it can be ended at once
        )
    os.close(writing)
    try:
        for line in _lines(reading, process, began + limit_s):
            if "what" not in line:  # the last one, of a part that cannot go on
                ended.status, ended.why = "skipped", line["needs"]
            else:
                ended.lines.append(line)
            ended.seconds = round(time.monotonic() - began, 1)
            heard(ended)
        running = process.poll() is None
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            code = process.wait(_DEATH_S)
        except subprocess.TimeoutExpired:  # it hangs in the driver, where no signal reaches it
            running, code = True, 0
    ended.seconds = round(time.monotonic() - began, 1)
    if running:
        ended.status, ended.why = "cut off", f"after {limit_s:.0f} s"
    elif code not in (0, 1):
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        ended.status, ended.why = "crashed", f"{how}; {_last_words(log)}"
    elif code and not any(line.get("ok") is False for line in ended.lines):
        ended.status, ended.why = "crashed", _last_words(log)  # before it could tell anything
    elif code or ended.status == "running":
        ended.status, ended.said = ("failed", _last_words(log)) if code else ("passed", "")
    return ended


def _lines(reading: int, process: subprocess.Popen[bytes], until: float) -> Iterator[dict[str, Any]]:
    """What the process tells, until it ends or its time is over."""
    os.set_blocking(reading, False)
    data = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while True:
            is_over = process.poll() is not None  # asked first: what it told before is still to be read
            selector.select(0 if is_over else max(0.0, min(_LOOK_S, until - time.monotonic())))
            while True:
                try:
                    found = os.read(reading, 1 << 16)
                except BlockingIOError:
                    break
                if not found:
                    selector.unregister(reading)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(max(0.0, until - time.monotonic()))
                    return
                data += found
                *whole, data = data.split(b"\n")
                yield from map(json.loads, whole)
            if is_over or time.monotonic() >= until:
                return


def _last_words(log: Path) -> str:
    """The end of what it printed, in one line."""
    text = log.read_bytes()[-_LAST_WORDS:].decode(errors="replace").strip()
    return " | ".join(line.strip() for line in text.splitlines()[-12:] if line.strip()) or "it said nothing"
