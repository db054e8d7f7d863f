"""Measuring in turns: ours, then each peer, then ours again, so that a busy moment falls on all of them."""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# a check gets both results and says in words whether both did the same work; a difference starts with this
DIFFERENT = "DIFFERENT: "


class PeerFailedError(Exception):
    """A peer could not do the work; says why."""


@dataclasses.dataclass(frozen=True)
class Peer:
    """Something to be measured against.

    Attributes
    ----------
    name, version : str
    run : () -> (seconds, result)
        None if it cannot run here; `missing` says why.
    check : (our result, its result) -> str
        In words, whether both did the same work.
    note : str
        What a reader must know to judge the row, such as the reason of a result.
    """

    name: str
    version: str
    run: Callable[[], tuple[float, Any]] | None
    check: Callable[[Any, Any], str] = lambda ours, theirs: ""
    missing: str = ""
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison, as it stands in the JSON; `ratio` below 1 means that Pool5 is faster."""

    row: str
    input: str
    ours: str
    peer: str
    peer_version: str
    ours_seconds: float | None
    peer_seconds: float | None
    ratio: float | None
    runs: int
    same_work: str
    ours_range: tuple[float, float] | None = None
    peer_range: tuple[float, float] | None = None
    note: str = ""


def timed(work: Callable[[], Any]) -> Callable[[], tuple[float, Any]]:
    """`work` with the seconds it took."""

    def run() -> tuple[float, Any]:
        began = time.perf_counter()
        result = work()
        return time.perf_counter() - began, result

    return run


def peak_megabytes() -> float:
    """The most memory that this process has held (VmHWM; `ru_maxrss` would count its parent's as well)."""
    lines = Path("/proc/self/status").read_text().split("\n")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def contest(
    row: str,
    input: str,
    ours: str,
    run: Callable[[], tuple[float, Any]],
    peers: Sequence[Peer],
    runs: int = 3,
    warm_up: bool = False,
) -> list[Row]:
    """Run ours and every peer `runs` times in turns; a row for each peer, from the medians.

    The ratio is the median of the ratios of neighboring runs, which a machine that others use as well
    disturbs less than a ratio of medians.
    """
    print(f"{row}: {input}", file=sys.stderr, flush=True)
    times: dict[str, list[float]] = {ours: [], **{peer.name: [] for peer in peers}}
    results: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for turn in range(runs + warm_up):
        for name, work in ((ours, run), *((peer.name, peer.run) for peer in peers)):
            if work is None or name in failed:
                continue
            try:
                seconds, result = work()
            except PeerFailedError as error:
                failed[name] = str(error)
                times[name].clear()
                print(f"  {name}: {error}", file=sys.stderr, flush=True)
                continue
            results[name] = result
            if turn >= warm_up:
                times[name].append(seconds)
            print(f"  {name}: {seconds:.4g} s", file=sys.stderr, flush=True)
    peers = [dataclasses.replace(p, missing=p.missing or failed.get(p.name, "")) for p in peers]
    return [_row(row, input, ours, peer, times, results, runs) for peer in peers]


def _row(
    row: str, input: str, ours: str, peer: Peer, times: dict[str, list[float]], results: dict, runs: int
) -> Row:
    mine, theirs = times[ours], times[peer.name]
    common = {
        "row": row,
        "input": input,
        "ours": ours,
        "peer": peer.name,
        "peer_version": peer.version,
        "ours_seconds": _round(statistics.median(mine)),
        "runs": runs,
        "ours_range": (_round(min(mine)), _round(max(mine))),
        "note": peer.note,
    }
    if not theirs:
        return Row(**common, peer_seconds=None, ratio=None, same_work=f"not run: {peer.missing}")
    return Row(
        **common,
        peer_seconds=_round(statistics.median(theirs)),
        ratio=_round(statistics.median(a / b for a, b in zip(mine, theirs, strict=True))),
        same_work=peer.check(results[ours], results[peer.name]),
        peer_range=(_round(min(theirs)), _round(max(theirs))),
    )


def _round(value: float) -> float:
    """To four significant digits: more would be noise."""
    return float(f"{value:.4g}")
