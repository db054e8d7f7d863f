"""`pool5 show` and `export`: what a feature file holds, and in other forms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..project import Project

if TYPE_CHECKING:
    from ..store.feature_file import FeatureFile

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(file: Path, as_json: bool) -> None:
    """Say what the feature file FILE holds."""
    import json

    import numpy as np

    from ..store.feature_file import FeatureFile

    features = FeatureFile.open(file)
    positives = np.count_nonzero(features.labels == 1, axis=0).tolist()
    difficult = np.count_nonzero(features.labels == 0, axis=0).tolist()
    if as_json:
        about = _as_json(features, positives, difficult)
        click.echo(json.dumps(about, indent=2, sort_keys=True, ensure_ascii=False))
        return
    click.echo(f"{features.model} on {features.dataset} {features.split}: {len(features)} images")
    for layer, rows in features.layers.items():
        click.echo(f"\n{layer}: {len(rows)} x {rows.shape[1]} {rows.dtype}, {_size(rows.nbytes)}")
        click.echo(f"  feature key {features.key_digest(layer)}")
        for name, value in features.key(layer).items():
            click.echo(f"    {name}: {json.dumps(value) if isinstance(value, dict) else value}")
    click.echo("\npositives (only difficult) of each class:")
    for name, yes, unsure in zip(features.classes, positives, difficult, strict=True):
        click.echo(f"  {name}: {yes}" + (f" ({unsure})" if unsure else ""))


@click.command()
@click.argument("file", type=_PATH)
@click.option("--to", "kind", required=True, type=click.Choice(["npy", "parquet", "tensorboard"]))
@click.option("--layer", "layers", multiple=True, help="Only this layer; may be repeated.  [default: all]")
@click.option("--out", type=_PATH, help="Folder to write to.  [default: exports/<model>-<split>-<kind>]")
def export(file: Path, kind: str, layers: tuple[str, ...], out: Path | None) -> None:
    """Write the feature file FILE in a form that other programs read."""
    from ..store.export import export_npy, export_parquet, export_tensorboard
    from ..store.feature_file import FeatureFile

    features = FeatureFile.open(file)
    folder = out or Project().exports / f"{features.model}-{features.split}-{kind}"
    write = {"npy": export_npy, "parquet": export_parquet, "tensorboard": export_tensorboard}[kind]
    chosen = tuple(dict.fromkeys(layers or features.layers))
    for layer in chosen:
        features.layer(layer)  # one that is not there is refused before anything is written
    for path in write(features, chosen, folder):
        click.echo(str(path))


def _as_json(features: FeatureFile, positives: list[int], difficult: list[int]) -> dict[str, Any]:
    return {
        "dataset": features.dataset,
        "split": features.split,
        "model": features.model,
        "rows": len(features),
        "ids_digest": features.ids_digest,
        "labels_digest": features.labels_digest,
        "classes": {
            name: {"positives": yes, "difficult": unsure}
            for name, yes, unsure in zip(features.classes, positives, difficult, strict=True)
        },
        "layers": {
            layer: {
                "width": rows.shape[1],
                "dtype": rows.dtype.name,
                "feature_key": features.key_digest(layer),
                "layer_digest": features.layer_digest(layer),
                "key": features.key(layer),
            }
            for layer, rows in features.layers.items()
        },
    }


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
