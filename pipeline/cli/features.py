"""`pool5 show` and `export`: what a feature file holds, and in other forms."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UserError
from ..files.hints import counted
from ..project import Project
from .upkeep import writer_of

if TYPE_CHECKING:
    from ..store.feature_file import FeatureFile

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(file: Path, as_json: bool) -> None:
    """Say what the feature file FILE holds."""
    features = _opened(file)
    if as_json:
        click.echo(json.dumps(described(features), indent=2, sort_keys=True, ensure_ascii=False))
        return
    counts = list(_counts(features))
    click.echo(f"{features.model} on {features.dataset} {features.split}: {len(features)} images")
    for layer, rows in features.layers.items():
        click.echo(f"\n{layer}: {len(rows)} x {rows.shape[1]} {rows.dtype}, {_size(rows.nbytes)}")
        click.echo(f"  shape: {_shape_in_words(features, layer)}")
        click.echo(f"  feature key {features.key_digest(layer)}")
        key = dataclasses.asdict(features.feature_key(layer))
        derived = key.pop("derived")
        for line in _lines_of(key | {f"derived {n}": each for n, each in enumerate(derived, 1)}, "    "):
            click.echo(line)
    click.echo("\npositives (only difficult) of each class:")
    for name, yes, unsure in counts:
        click.echo(f"  {name}: {yes}" + (f" ({unsure})" if unsure else ""))


@click.command()
@click.argument("files", type=_PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("--to", "kind", required=True, type=click.Choice(["npy", "parquet", "tensorboard", "lance"]))
@click.option("--layer", "layers", multiple=True, help="Only this layer; may be repeated.  [default: all]")
@click.option(
    "--out",
    "--output",
    help="Folder to write to; lance: or s3://….  [default: exports/<model>-<split>-<kind>, "
    "exports/<dataset>.lance]",
)
def export(files: tuple[Path, ...], kind: str, layers: tuple[str, ...], out: str | None) -> None:
    """Write the feature file FILE in a form that other programs read.

    lance takes a file of each split of a model, and adds its layers as columns to a table that is there.
    """
    opened = [_opened(path) for path in files]
    first = opened[0]
    chosen = tuple(dict.fromkeys(layers or first.layers))
    for features in opened:
        for layer in chosen:
            features.layer(layer)  # one that is not there is refused before anything is written
    if kind == "lance":
        _export_lance(opened, chosen, out or str(Project().exports / f"{first.dataset}.lance"))
        return
    if len(opened) > 1:
        raise UserError(f"--to {kind} takes one feature file, not {len(opened)}; --to lance takes several")
    from ..store.export import export_npy, export_parquet, export_tensorboard

    folder = Path(out) if out else Project().exports / f"{first.model}-{first.split}-{kind}"
    write = {"npy": export_npy, "parquet": export_parquet, "tensorboard": export_tensorboard}[kind]
    for path in write(first, chosen, folder):
        click.echo(str(path))


def _export_lance(files: Sequence[FeatureFile], layers: Sequence[str], uri: str) -> None:
    from ..store.lance_table import write_table

    written = write_table(files, layers, uri)
    for column in written:
        click.echo(f"{uri}: {column}")
    if len(written) < len(layers):
        click.echo(f"{uri}: {counted(len(layers) - len(written), 'layer')} there already, as now", err=True)


def _opened(path: Path) -> FeatureFile:
    """The feature file at a path; of one that is not this project's, no stage is named that would mend it."""
    from ..store.feature_file import FeatureFile

    stage = writer_of(Project(), path)
    try:
        return FeatureFile.open(path, stage or "")
    except UserError as error:
        if stage:
            raise
        raise UserError(str(error)) from None


def _shape_in_words(features: FeatureFile, layer: str) -> str:
    shape, pool = features.shape(layer), features.feature_key(layer).pool
    if shape is None:
        return "not told by a file of format version 1"
    return f"{shape}, {pool} of {shape.pooled_from}" if shape.pooled_from else str(shape)


def _lines_of(fields: Mapping[str, Any], indent: str) -> Iterator[str]:
    """`name: value`, what has members on lines of its own; what a terminal would not show, as JSON."""
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{name}:"
            yield from _lines_of(value, f"{indent}  ")
        else:
            plain = isinstance(value, str) and value.isprintable()
            yield f"{indent}{name}: {value if plain else json.dumps(value)}"


def described(features: FeatureFile) -> dict[str, Any]:
    """What `pool5 show --json` prints."""
    return {
        "dataset": features.dataset,
        "split": features.split,
        "model": features.model,
        "rows": len(features),
        "ids_digest": features.ids_digest,
        "labels_digest": features.labels_digest,
        "classes": {name: {"positives": yes, "difficult": unsure} for name, yes, unsure in _counts(features)},
        "layers": {
            layer: {
                "width": rows.shape[1],
                "dtype": rows.dtype.name,
                "shape": json.loads(shape.json()) if (shape := features.shape(layer)) else None,
                "feature_key": features.key_digest(layer),
                "layer_digest": features.layer_digest(layer),
                "key": features.key(layer),
            }
            for layer, rows in features.layers.items()
        },
    }


def _counts(features: FeatureFile) -> Iterator[tuple[str, int, int]]:
    """Of each class its name, its images, and those that show only difficult instances."""
    from ..labels import Labels

    labels = Labels.dense(features.labels)
    return zip(features.classes, labels.count(1).tolist(), labels.count(0).tolist(), strict=True)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
