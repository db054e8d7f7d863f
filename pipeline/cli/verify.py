"""`pool5 verify`: is what is stored as it was written?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from ..errors import UserError
from ..files.hints import counted
from ..project import Project
from .telling import remedy


@click.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
def verify(files: tuple[Path, ...]) -> None:
    """Check every checksum of the feature files FILES; exit with 1 if something is damaged.

    Without FILES: all features, neighbor graphs, logits and results, and the row cache.
    """
    counts: dict[str, int] = {}
    damaged = 0
    for kind, problems in _given(files) if files else _stored(Project()):
        counts[kind] = counts.get(kind, 0) + 1
        damaged += len(problems)
        for problem in problems:
            click.echo(problem)
    checked = ", ".join(counted(count, kind) for kind, count in counts.items())
    click.echo(f"checked {checked}: {f'{damaged} damaged' if damaged else 'sound'}", err=True)
    if damaged:
        raise SystemExit(1)


_Checked = Iterator[tuple[str, list[str]]]


def _given(files: Sequence[Path]) -> _Checked:
    from ..store.verify import verify_feature_file

    for path in files:
        if not path.is_file():
            raise UserError(f"{path}: no such feature file", rerun="extract")
        yield "feature file", _with_remedy(verify_feature_file(path), "extract")


def _stored(project: Project) -> _Checked:
    """What each stored file is, and what is wrong with it."""
    from ..params import load_params
    from ..results.record import verify_record
    from ..store.verify import (
        shards_of,
        verify_feature_file,
        verify_logits_file,
        verify_neighbor_file,
        verify_shard,
    )

    features = _files(project.feature_folders, ".h5")
    if not features:
        raise UserError(f"{project.feature_folders}: no feature files here", rerun="extract")
    for path in features:
        yield "feature file", _with_remedy(verify_feature_file(path), "extract")
    for path in _files(project.neighbor_folders, ".h5"):
        yield "neighbor graph", _with_remedy(verify_neighbor_file(path), "neighbors")
    for path in _files(project.probes, ".h5"):
        yield "probe", _with_remedy(verify_logits_file(path), "probe")
    for path in _files(project.results, ".json"):
        stage = path.relative_to(project.results).parts[0].removesuffix(".json")
        yield "result", _with_remedy(verify_record(path), "model" if stage == "training" else stage)
    if project.params.is_file():
        for path in shards_of(project.row_cache(load_params(project.params).extract.cache)):
            yield "shard", verify_shard(path)


def _with_remedy(problems: list[str], stage: str) -> list[str]:
    return [f"{problem}; {remedy(stage, force=True)}" for problem in problems]


def _files(folder: Path, suffix: str) -> list[Path]:
    """The files under a folder, in order; not by glob, which passes over folders that it may not read."""
    if not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith("."):
            found += _files(path, suffix)
        elif path.suffix == suffix:
            found.append(path)
    return sorted(found)
