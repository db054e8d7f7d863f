"""Check and measure Pool5 on a card; `make gpu-check` calls it. docs/gpu.md tells how to read what it writes.

python -m benchmarks.gpu_check [--out DIR] [--parts a,b,c] [--limit-s N] [--device cpu] [--quick]
python -m benchmarks.gpu_check --keep FILE...     what was measured elsewhere, into benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.own_package import ROOT, environment_with_pool5
from benchmarks.gpu_check.page import put_on_page
from benchmarks.gpu_check.parts import CPU_TAKES, PARTS, Part, parts_of
from benchmarks.gpu_check.record import Record, commit_of, joined, read_record, write_record
from benchmarks.gpu_check.supervise import Ended, supervise

_RESULTS = ROOT / "benchmarks" / "results"
_README = ROOT / "benchmarks" / "README.md"
_LOOK_S = 120  # for what the machine is
_LEAST_S = 5.0  # less is not worth the start


def main(arguments: list[str]) -> int:
    """Check, and give the exit code: 0 if all that ran passed, 1 else, 2 for what cannot be asked."""
    asked = _asked(arguments)
    try:
        if asked.keep:
            return _keep(asked.keep)
        parts = parts_of(asked.parts)
        with tempfile.TemporaryDirectory(prefix="pool5-gpu-check-") as folder:
            environment = environment_with_pool5(Path(folder) / "package")
            if asked.quick:  # nothing is measured, and others may be at work: none waits by spinning
                environment.setdefault("OMP_WAIT_POLICY", "passive")
            device = "cpu" if asked.device == "cpu" else "cuda:0"  # one card, however many there are
            about = _machine(device, environment)
            small = device == "cpu" or asked.quick
            out = asked.out or (ROOT / "build" / "gpu-check" if small else _RESULTS)
            record = Record(out, about, device, asked.quick, asked.commit or commit_of())
            failures = check(parts, record, Path(folder), environment, asked.limit_s)
    except (ValueError, OSError) as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        return 2
    if out == _RESULTS:
        put_on_page(_measured(), _README)
    for failure in failures:
        print(failure)
    print(f"kept in {record.path}; {len(failures)} failures")
    return int(bool(failures))


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {part.letter}  {part.about}, {part.limit_s:.0f} s" for part in PARTS),
    )
    letters = ",".join(part.letter for part in PARTS)
    parser.add_argument("--out", type=Path, help="folder of the JSON file; else benchmarks/results")
    parser.add_argument("--parts", default=letters, help="which, in which order; else all")
    parser.add_argument("--limit-s", type=float, help="seconds for all of them together")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--quick", action="store_true", help="everything small: does it run?")
    parser.add_argument("--commit", help="of what is checked, where there is no git to ask")
    parser.add_argument("--keep", type=Path, nargs="+", metavar="FILE", help="put records into the results")
    return parser.parse_args(arguments)


def check(
    parts: Sequence[Part],
    record: Record,
    folder: Path,
    environment: dict[str, str],
    limit_s: float | None = None,
) -> list[str]:
    """Run the parts one after the other, and keep and print what each comes to; gives the failures."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended as well
    began, failures = time.monotonic(), list[str]()
    device, quick = record.document["device"], record.document["quick"]
    for part in parts:
        own = part.limit_s * (CPU_TAKES if device == "cpu" else 1)
        left = own if limit_s is None else min(own, limit_s - (time.monotonic() - began))
        if left < _LEAST_S:
            ended = Ended(part.letter, part.name, "skipped", why="no time was left for it")
        else:
            ended = supervise(
                part,
                device=device,
                quick=quick,
                scratch=folder / part.name,
                limit_s=left,
                environment=environment,
                heard=lambda so_far: _heard(so_far, record),
            )
        record.put(ended)
        failures += ended.failures
        summary = {"part": ended.part, "name": ended.name, "status": ended.status, "seconds": ended.seconds}
        told = {"why": ended.why, "lines": len(ended.lines), "failures": ended.failures}
        print(json.dumps(summary | told, ensure_ascii=False), flush=True)
    return failures


def _heard(ended: Ended, record: Record) -> None:
    record.put(ended)
    if ended.lines:
        short = {key: value for key, value in ended.lines[-1].items() if key != "traceback"}
        line = json.dumps(short, ensure_ascii=False)
        print(f"  {ended.part} {ended.seconds:5.1f} s  {line[:400]}", file=sys.stderr, flush=True)


def _machine(device: str, environment: dict[str, str]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.gpu_check.machine", device],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LOOK_S,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"{device}: it did not answer within {_LOOK_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ValueError(f"{device}: {last}; --device cpu --quick checks what needs no GPU")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _keep(files: Sequence[Path]) -> int:
    """Put records of one kind of card together into the results, and renew the page."""
    names = {path.name for path in files}
    if len(names) > 1:
        raise ValueError(f"records of several cards: {', '.join(sorted(names))}; keep one card at a time")
    kept = _RESULTS / names.pop()
    before = [kept] if kept.exists() else []
    records = [read_record(path) for path in [*before, *files]]
    if len({record["quick"] for record in records}) > 1:
        raise ValueError(f"{kept.name}: what was measured with --quick is not kept beside what was not")
    write_record(joined(records), kept)
    put_on_page(_measured(), _README)
    return 0


def _measured() -> list[dict[str, Any]]:
    return [read_record(path) for path in sorted(_RESULTS.glob("gpu-*.json"))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
