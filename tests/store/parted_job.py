"""Publishing in parts that is killed, or fails at a system call: run as a program that can fork at once.

`python -m tests.store.parted_job kill FOLDER COUNT` kills it at random moments, `… fault FOLDER ERRNO` at
each of its system calls on files in turn, or lets that one fail. What is found amiss is told as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from pool5.store.feature_file import FeatureFile
from pool5.store.publish import publishing_to
from pool5.store.verify import verify_feature_file
from tests.extract.small_jobs import trace
from tests.store.parted_file import long_content, write_parted

PARTS = 2


def one_long_layer(seed: int) -> dict:
    given = long_content(16 * PARTS, seed)
    del given["layers"]["half"]
    return given


OLD, NEW = one_long_layer(0), one_long_layer(1)


def publish(path: Path, content: dict) -> None:
    with publishing_to(path.parent, path.parents[1] / "locks"):
        write_parted(path, **content)


def found(path: Path) -> str:
    """The digest of what is there; the file is sound."""
    if not path.exists():
        return ""
    if problems := verify_feature_file(path):
        return problems[0]
    return FeatureFile.open(path).layer_digest("wide")


def amiss(path: Path, before: str, wanted: str) -> list[str]:
    """What is wrong after a run that was interrupted, and after the next."""
    bad = [] if (there := found(path)) in (before, wanted) else [there]
    publish(path, NEW)
    bad += [] if found(path) == wanted else ["the next run did not mend it"]
    names = sorted(each.name for each in path.parent.iterdir())
    parts = len(list(path.with_suffix(".parts").iterdir()))
    return bad + (
        [] if (names, parts) == (["test.h5", "test.parts"], PARTS) else [f"left: {names}, {parts} parts"]
    )


def digests_of(path: Path) -> tuple[str, str]:
    publish(path, OLD)
    old = found(path)
    publish(path, NEW)
    return old, found(path)


def kill(folder: Path, kills: int) -> dict:
    path, draw, longest = folder / "m/test.h5", random.Random(0), 0.0
    old, new = digests_of(path)
    report: dict = {"bad": [], "old": 0}
    for number in range(kills + 1):
        publish(path, OLD)
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            publish(path, NEW)
            os._exit(0)
        if number:  # the first is left to end, which tells how long the kills may wait
            time.sleep(draw.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        longest = longest or time.monotonic() - began
        report["old"] += found(path) == old
        report["bad"] += [f"{number}: {each}" for each in amiss(path, old, new)]
    return report


def fault(folder: Path, number: int) -> dict:
    path = folder / "m/test.h5"
    old, new = digests_of(path)
    report: dict = {"bad": [], "calls": []}
    os.chdir(folder)
    for at in range(1, 1000):
        publish(path, OLD)
        call, code = trace(lambda: publish(path, NEW), at, number or None)
        if call is None:
            break
        report["calls"].append(call)
        if code == 0 and found(path) != new:
            report["bad"].append(f"{at} {call}: success told, but not there")
        if number and code not in (0, 2, 3):
            report["bad"].append(f"{at} {call}: exit code {code}: {(folder / 'stderr').read_text()}")
        report["bad"] += [f"{at} {call}: {each}" for each in amiss(path, old, new)]
    return report


if __name__ == "__main__":
    what, base, count = sys.argv[1:]
    print(json.dumps({"kill": kill, "fault": fault}[what](Path(base), int(count))))
