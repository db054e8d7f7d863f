"""The results as a table on the screen, as JSON, and as a section of benchmarks/README.md."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.contest import Row

_BEGIN, _END = "<!-- {}: begin -->", "<!-- {}: end -->"


def machine(gpu: bool) -> str:
    """The processor, its cores, and the GPU; no names."""
    from pool5.machine import cores, processor  # the page is also written where pool5 is not installed

    told = f"{processor()}, {cores()} cores"
    if gpu:
        import torch

        told += f", {torch.cuda.get_device_name(0)}"
    return f"{told}; Python {platform.python_version()}, torch {version('torch')}"


def write_results(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as a JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps([dataclasses.asdict(row) for row in rows], indent=1, ensure_ascii=False) + "\n"
    )


def read_results(path: Path) -> list[Row]:
    """Read what `write_results` wrote."""
    return [
        Row(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})
        for row in json.loads(path.read_text())
    ]


def table(rows: Sequence[Row]) -> str:
    """For the screen: ratio first."""
    lines = [f"{'ratio':>8}  {'ours':>9}  {'peer':>9}  row"]
    for row in rows:
        ours, peer = _seconds(row.ours_seconds), _seconds(row.peer_seconds)
        lines.append(
            f"{_ratio(row):>8}  {ours:>9}  {peer:>9}  {row.row} | {row.input} | {row.peer} | {row.same_work}"
        )
    return "\n".join(lines)


def markdown(rows: Sequence[Row], about: str) -> str:
    """The section of the README."""
    lines = [
        f"Measured on {about}. `ratio` is Pool5's time over the other's: below 1, Pool5 is faster. Medians",
        "of the runs, with the fastest and the slowest in brackets.",
        "",
    ]
    for name in dict.fromkeys(row.row for row in rows):
        lines.append(f"### {name}\n")
        for given in dict.fromkeys(row.input for row in rows if row.row == name):
            group = [row for row in rows if row.row == name and row.input == given]
            lines += [f"{given}\n"] if given else []
            lines += [
                "| beside | ratio | Pool5 | the other | runs | the same work? |",
                "|---|--:|--:|--:|--:|---|",
            ]
            for row in group:
                peer = f"{row.peer} {row.peer_version}".strip()
                work = f"{row.same_work}; {row.note}" if row.note else row.same_work
                spans = (_span(row.ours_seconds, row.ours_range), _span(row.peer_seconds, row.peer_range))
                lines.append(f"| {peer} | {_ratio(row)} | {spans[0]} | {spans[1]} | {row.runs} | {work} |")
            lines.append("")
    return "\n".join(lines)


def put_section(readme: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of `name`."""
    begin, end = _BEGIN.format(name), _END.format(name)
    whole = readme.read_text()
    before, _, rest = whole.partition(begin)
    _, _, after = rest.partition(end)
    readme.write_text(f"{before}{begin}\n{text.rstrip()}\n{end}{after}")


def _ratio(row: Row) -> str:
    return "–" if row.ratio is None else f"{row.ratio:.3g}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def _span(value: float | None, span: tuple[float, float] | None) -> str:
    if value is None or span is None:
        return _seconds(value)
    return f"{_seconds(value)} ({_seconds(span[0])} to {_seconds(span[1])})"
