"""A record for people: a section of benchmarks/README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.gpu_check.parts import PARTS
from benchmarks.results_page import put_section

# what every line has, and what is too long for a table
_ASIDE = {"what", "ok", "why", "traceback"}
_MEMORY = ("host_mb", "card_allocated_mb", "card_reserved_mb", "card_in_use_mb")


def put_on_page(records: list[dict[str, Any]], readme: Path) -> None:
    """Renew the section `gpu-check`, a table a part and card."""
    put_section(readme, "gpu-check", "\n\n".join(map(section, records)))


def section(record: dict[str, Any]) -> str:
    """Markdown of one record."""
    machine, versions = record["machine"], record["versions"]
    card = machine["card"]
    of = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB"
    of = f"{card['name']}, {card['memory_gb']} GB; {of}" if card else of
    names = ("python", "torch", "torchvision", "cuda", "driver", "faiss")
    libraries = ", ".join(f"{name} {versions[name]}" for name in names)
    lines = [
        f"### {card['name'] if card else 'CPU'}",
        "",
        f"Checked on {of}; {libraries}; commit {record['commit'] or 'not known'}"
        f"{', in small (--quick)' if record['quick'] else ''}. Memory is the peak in MB.",
    ]
    for part in PARTS:
        if part.letter in record["parts"]:
            lines += ["", *_part(part.about, record["parts"][part.letter], record["commit"])]
    return "\n".join(lines)


def _part(about: str, part: dict[str, Any], commit: str | None) -> list[str]:
    why = f" ({_cell(part['why'])})" if part["why"] else ""
    at = f", at commit {part['commit']}" if part["commit"] != commit else ""
    lines = [f"#### {part['part']}: {about}", "", f"{part['status']}{why}, {part['seconds']} s{at}."]
    for failure in part["failures"]:
        lines += ["", f"- {_cell(failure)}"]
    # lines that tell the same things make one table
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for line in filter(_is_told, part["lines"]):
        columns = tuple(name for name in line if name not in _ASIDE and name not in _MEMORY)
        groups.setdefault(columns, []).append(line)
    for columns, rows in groups.items():
        memory = [name for name in _MEMORY if any(name in row for row in rows)]
        names = [*columns, *memory]
        lines += ["", f"| | | {' | '.join(names)} |", f"|---|---|{'--:|' * len(names)}"]
        for row in rows:
            cells = [_cell(row["what"]), _verdict(row), *(_cell(row.get(name)) for name in names)]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _is_told(line: dict[str, Any]) -> bool:
    """Not a test that passed: they are many, and counted."""
    return line["ok"] is not True or "::" not in line["what"]


def _verdict(row: dict[str, Any]) -> str:
    verdict = {True: "passed", False: "**failed**", None: ""}[row["ok"]]
    return verdict or _cell(row.get("why") or "")


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_cell(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return " ".join(str(value).replace("|", "\\|").split())
