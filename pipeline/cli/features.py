"""`pool5 show`, `verify`, `why` and `export`: what is stored, whether it is sound, and in other forms."""

from __future__ import annotations

from pathlib import Path

import click

_FEATURES = Path("data/features")
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
        about = {
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
@click.argument("files", type=_PATH, nargs=-1)
def verify(files: tuple[Path, ...]) -> None:
    """Check every checksum of the feature files FILES; exit with 1 if something is damaged.

    Without FILES: all of data/features, and the row cache that params.yaml names.
    """
    from ..errors import UserError
    from ..store.verify import shards_of, verify_cache, verify_feature_file

    problems, checked = [], []
    paths = list(files) or _stored_files()
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such feature file; run `dvc repro extract` to write it")
        problems += verify_feature_file(path)
    checked.append(f"{len(paths)} feature file{'s' * (len(paths) != 1)}")
    if not files and (root := _cache_root()) is not None:
        problems += verify_cache(root)
        checked.append(f"{len(shards_of(root))} shards of the row cache")
    for problem in problems:
        click.echo(problem)
    click.echo(
        f"checked {' and '.join(checked)}: {f'{len(problems)} damaged' if problems else 'sound'}", err=True
    )
    if problems:
        raise SystemExit(1)


@click.command()
@click.argument("model")
@click.argument("split")
def why(model: str, split: str) -> None:
    """Say which rows of MODEL on SPLIT would be computed again, and which field of the key changed."""
    from ..datasets.manifest import read_manifest
    from ..errors import UserError
    from ..extract.difference import image_changes, layer_differences, model_difference
    from ..extract.keys import feature_keys
    from ..models.card import read_card
    from ..params import load_params
    from ..store.feature_file import FeatureFile, feature_path
    from ..store.row_cache import RowCache

    params = load_params()
    spec = params.model(model)
    splits = list(dict.fromkeys([params.dataset.train, params.dataset.test]))
    if split not in splits:
        raise UserError(f"split {split} is not extracted; params.yaml names {' and '.join(splits)}")
    keys = feature_keys(params, model)
    manifest = read_manifest(Path("data/manifest") / f"{split}.csv")
    if changed := model_difference(read_card(Path("data/models") / model), spec):
        told = "; ".join(f"{name}: {old} -> {new}" for name, (old, new) in changed.items())
        click.echo(f"{model}: {told}: it will be made again, and with other weights all rows computed")
        return
    path = feature_path(model, split)
    file = FeatureFile.open(path) if path.exists() else None
    if file is None:
        click.echo(f"{path}: not there")
    else:
        changes = {what: count for what, count in image_changes(file, manifest).items() if count}
        click.echo(f"images: {', '.join(f'{n} {what}' for what, n in changes.items()) or 'the same'}")
        for layer in sorted(set(file.layers) - set(keys)):
            click.echo(f"{layer}: no longer in params.yaml")
    for difference in layer_differences(file, keys, manifest, RowCache(params.extract.cache)):
        reasons = [f"{name}: {old} -> {new}" for name, (old, new) in difference.fields.items()]
        if file is not None and not difference.stored:
            reasons = ["a new layer"]
        count = difference.to_compute
        verdict = f"{count} of {len(manifest)} rows to compute" if count else "every row is in the cache"
        click.echo(f"{difference.layer}: {'; '.join([*reasons, verdict])}")


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
    folder = out or Path("exports") / f"{features.model}-{features.split}-{kind}"
    write = {"npy": export_npy, "parquet": export_parquet, "tensorboard": export_tensorboard}[kind]
    chosen = tuple(dict.fromkeys(layers or features.layers))
    for layer in chosen:
        features.layer(layer)  # one that is not there is refused before anything is written
    for path in write(features, chosen, folder):
        click.echo(str(path))


def _stored_files() -> list[Path]:
    from ..errors import UserError

    paths: list[Path] = []
    if _FEATURES.is_dir():
        # not glob, which passes over folders that it may not read
        folders = (folder for folder in _FEATURES.iterdir() if folder.is_dir())
        paths = sorted(path for folder in folders for path in folder.iterdir() if path.suffix == ".h5")
    if not paths:
        raise UserError(f"{_FEATURES}: no feature files here; run `dvc repro` in the project's folder first")
    return paths


def _cache_root() -> Path | None:
    from ..params import load_params

    if not Path("params.yaml").exists():
        return None
    return Path(load_params().extract.cache)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
