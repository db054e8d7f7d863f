"""`pool5 verify`: is what is stored as it was written?"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from ..errors import UserError
from ..files.hints import counted
from ..project import Project
from ..telling import remedy
from .outputs import changed, outputs_of
from .upkeep import writer_of

_SHOWN = 5


@click.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1)
def verify(files: tuple[Path, ...]) -> None:
    """Check every checksum of the feature files FILES; exit with 1 if something is damaged.

    Without FILES: every file under data/, the outputs of all stages, and the row cache.
    """
    counts: dict[str, int] = {}
    damaged = 0
    told: set[Path | str] = set()
    for kind, path, problems in _given(files) if files else _stored(Project()):
        counts[kind] = counts.get(kind, 0) + 1
        if problems and path not in told:  # a file under two digests is told once
            told.add(path)
            damaged += len(problems)
            click.echo("\n".join(problems))
    if not files:
        _tell_unknown(Project())
    checked = ", ".join(
        counted(count, kind, "indexes" if kind == "index" else None) for kind, count in counts.items()
    )
    click.echo(f"checked {checked}: {f'{damaged} damaged' if damaged else 'sound'}", err=True)
    if damaged:
        raise SystemExit(1)


_Checked = Iterator[tuple[str, Path | str, list[str]]]


def _given(files: Sequence[Path]) -> _Checked:
    from ..store.verify import verify_feature_file

    for path in files:
        stage = writer_of(Project(), path)
        if not path.is_file():
            raise UserError(f"{path}: no such feature file", rerun=stage)
        problems = verify_feature_file(path)
        yield "feature file", path, _with_remedy(problems, stage) if stage else problems


def _stored(project: Project) -> _Checked:
    """What each stored file is, and what is wrong with it."""
    from ..params import load_params
    from ..results.probe import verify_weights
    from ..results.record import verify_record
    from ..search.index_card import verify_index
    from ..store.verify import (
        shapes_of,
        shards_of,
        verify_feature_file,
        verify_fit,
        verify_logits_file,
        verify_neighbor_file,
        verify_shape,
        verify_shard,
    )

    if not _files(project.feature_folders, ".h5"):
        raise UserError(f"{project.feature_folders}: no feature files here", rerun="extract")
    of_probe = functools.partial(verify_weights, record=project.result("probe"))
    for kind, folder, suffix, problems_of, stage in (
        ("feature file", project.feature_folders, ".h5", verify_feature_file, "extract"),
        ("feature file", project.derived_folders, ".h5", verify_feature_file, "derive"),
        ("fit", project.derived_folders, ".safetensors", verify_fit, "derive"),
        ("neighbor graph", project.neighbor_folders, ".h5", verify_neighbor_file, "neighbors"),
        ("probe", project.probes, ".h5", verify_logits_file, "probe"),
        ("probe's weight file", project.probes, ".safetensors", of_probe, "probe"),
        ("index", project.indexes, ".faiss", verify_index, "index"),
        ("index", project.indexes, ".lance", verify_index, "index"),
        ("model", project.models, "model.json", _verify_model, "model"),
        ("result", project.results, ".json", verify_record, ""),
    ):
        for path in _files(folder, suffix):
            of = stage or path.relative_to(folder).parts[0].removesuffix(".json")
            problems = _with_remedy(problems_of(path), "model" if of == "training" else of)
            yield kind, path, problems
    for output in outputs_of(project.root):
        mended = list(changed(output, project.root))
        for path, mending in mended:
            yield "output", path, [f"{path}: not as {output.stage} wrote it; {mending}"]
        if not mended:
            yield "output", output.path, []
    if project.params.is_file():
        cache = project.row_cache(load_params(project.params).extract.cache)
        for file in shards_of(cache):
            yield "shard", str(file), verify_shard(file)
        for file in shapes_of(cache):
            yield "layer's shape", str(file), verify_shape(file)


def _verify_model(card: Path) -> list[str]:
    """What is damaged in a model's folder: one line, or none."""
    from ..files.digests import sha256_of_file
    from ..models.card import WEIGHTS_FILE, read_card

    weights = card.with_name(WEIGHTS_FILE)
    try:
        sound = sha256_of_file(weights) == read_card(card.parent).weights_sha256
    except FileNotFoundError:
        return [f"{weights}: no such file"]
    except UserError as error:
        return [str(error)]
    return [] if sound else [f"{weights}: damaged: other bytes than its card says"]


def _tell_unknown(project: Project) -> None:
    """Name the files under data/ that no stage is noted to have written: nothing says what they should be."""
    outputs = [output.path for output in outputs_of(project.root)]
    unknown = [
        path
        for path in _files(project.data, "")
        if not any(path.is_relative_to(output) for output in outputs)
    ]
    if outputs and unknown:
        shown = ", ".join(map(str, unknown[:_SHOWN])) + (", …" if len(unknown) > _SHOWN else "")
        click.echo(f"{counted(len(unknown), 'file')} that no stage wrote, not checked: {shown}", err=True)


def _with_remedy(problems: list[str], stage: str) -> list[str]:
    return [f"{problem}; {remedy(stage, force=True)}" for problem in problems]


def _files(folder: Path, suffix: str) -> list[Path]:
    """The files under a folder, in order; not by glob, which passes over folders that it may not read.

    What Lance keeps in a folder counts as a file.
    """
    if not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith(".") and not path.suffix == suffix == ".lance":
            found += _files(path, suffix)
        elif path.name.endswith(suffix) and not path.name.startswith("."):
            found.append(path)
    return sorted(found)
