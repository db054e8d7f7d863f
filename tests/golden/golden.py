"""What stages give for the tiny project, made small enough to store and to compare."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pool5.params.recipes import read_recipes

ROOT = Path(__file__).parents[2]
STORED = Path(__file__).parent / "values"
_DIGEST = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
_KEPT = 8  # of a list

# how far another processor may be off; all but networks and maps compute on small integers
TOLERANCE = {
    "model": 1e-4,
    "extract": 1e-3,
    "derive": 1e-4,
    "tsne": 5e-2,
    "maps": 1e-3,
    "compare": 1e-5,
    "label_issues": 1e-3,
    "probe": 1e-3,
}


def thin(value: Any) -> Any:
    """JSON values: long lists keep some members, and digests are left out, as no tolerance compares them."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, dict):
        return {str(key): thin(inner) for key, inner in value.items()}
    if isinstance(value, list):
        step = max(1, len(value) // _KEPT)
        return {f"{i} of {len(value)}": thin(value[i]) for i in range(0, len(value), step)}
    return "a digest" if isinstance(value, str) and _DIGEST.fullmatch(value) else value


def differences(stored: Any, found: Any, tolerance: float, place: str = "") -> Iterator[str]:
    """`place: stored, now found`, wherever the two differ by more than the tolerance."""
    if isinstance(stored, list) and isinstance(found, list):
        stored, found = (dict(enumerate(values)) for values in (stored, found))
    if isinstance(stored, dict) and isinstance(found, dict):
        for key in {**stored, **found}:
            inner = f"{place} / {key}" if place else str(key)
            yield from differences(stored.get(key, "nothing"), found.get(key, "nothing"), tolerance, inner)
        return
    numbers = [isinstance(value, int | float) and not isinstance(value, bool) for value in (stored, found)]
    if all(numbers):
        allowed = 0 if isinstance(stored, int) and isinstance(found, int) else tolerance
        if not math.isclose(stored, found, rel_tol=allowed, abs_tol=allowed):
            yield f"{place}: {stored}, now {found}"
    elif stored != found:
        yield f"{place}: {stored!r}, now {found!r}"


def check(name: str, found: Any, update: bool) -> str | None:
    """What is wrong with a stage's values, and what to do about it; None if they are the stored ones.

    With `update`, the values are stored if there are none, or of another recipe version.
    """
    path = STORED / f"{name}.json"
    version = read_recipes(ROOT / "recipes.yaml")[name].version
    stored = json.loads(path.read_text()) if path.exists() else {"recipe_version": None, "values": None}
    if update and stored["recipe_version"] != version:
        text = json.dumps({"recipe_version": version, "values": found}, indent=1, sort_keys=True)
        path.write_text(text + "\n")
        return None
    again = "run `python -m pytest tests/golden --update-golden` and commit what it stores"
    if stored["values"] is None:
        return f"{name}: no values are stored; {again}"
    there = list(differences(stored["values"], found, TOLERANCE.get(name, 1e-6)))
    if stored["recipe_version"] != version:
        return f"{name}: the stored values are of version {stored['recipe_version']}, not {version}; {again}"
    if there:
        some = "\n  ".join(there[:8])
        return (
            f"{name}: {len(there)} values have changed:\n  {some}\n"
            f"If that is meant, raise the number in recipes.yaml: {name}: version, from {version} to "
            f"{version + 1}; then {again}"
        )
    return None


def _json(path: Path) -> Any:
    return thin(json.loads(path.read_text()))


def _records(folder: Path, *patterns: str) -> dict[str, Any]:
    found = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
    return {str(path.relative_to(folder)): _json(path) for path in found}


def _hdf5(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    with h5py.File(path) as file:
        arrays: list[str] = []
        file.visititems(lambda name, item: arrays.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in arrays:
            if not name.startswith("checksums") and name != "digest":
                data = file[name]
                values[name] = thin(data.asstr()[:] if data.dtype.kind in "SO" else data[:])
    return values


def _images(folder: Path) -> dict[str, Any]:
    from PIL import Image

    devkit = folder / "data/raw/sample"
    texts = sorted(path for path in devkit.rglob("*") if path.suffix in {".xml", ".txt"})
    pictures = sorted(devkit.rglob("*.jpg"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in texts)).hexdigest()
    means = {path.name: float(np.asarray(Image.open(path)).mean().round(3)) for path in pictures[::12]}
    return {
        "texts": len(texts),
        "sha256 of the texts": f"sha256 {digest}",
        "pictures": len(pictures),
        "means": means,
    }


def _dataset(folder: Path) -> dict[str, Any]:
    tables = {}
    for path in sorted((folder / "data/manifest").glob("*.csv")):
        lines = path.read_text().splitlines()
        if lines[0].startswith("#"):  # the split, and a digest of what follows
            lines = lines[1:]
        tables[path.name] = thin(list(csv.DictReader(lines)))
    return tables | _records(folder, "reports/metrics/dataset.json")


def _model(folder: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    values = _records(folder, "data/results/training/*.json")
    for path in sorted((folder / "data/models").glob("*/*.safetensors")):
        tensors = load_file(path)
        some = list(tensors)[:: max(1, len(tensors) // 4)]
        values[path.parent.name] = {
            name: [float(tensors[name].mean()), float(np.abs(tensors[name]).mean())] for name in some
        }
    return values


def _extract(folder: Path) -> dict[str, Any]:
    values = {}
    for path in sorted((folder / "extracted").glob("*/*.h5")):
        with h5py.File(path) as file:
            values[f"{path.parent.name}/{path.name}"] = {
                layer: {
                    "size": float(np.abs(data[:]).mean()),
                    "rows": thin(data[:, :4]),
                    "shape": list(data.shape),
                }
                for layer, data in file["layers"].items()
            }
    return values


def _hdf5_below(place: str) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: {
        str(path.relative_to(folder)): _hdf5(path) for path in sorted((folder / place).rglob("*.h5"))
    }


def _probe(folder: Path) -> dict[str, Any]:
    files = {path.name: _hdf5(path) for path in sorted((folder / "data/probes").glob("*.h5"))}
    return files | _records(folder, "reports/metrics/probe.json")


def _report(folder: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "reports/map.parquet")
    columns = {name: table.column(name) for name in table.column_names}
    plain = {
        name: thin(column.to_pylist()) for name, column in columns.items() if "binary" not in str(column.type)
    }
    page = (folder / "reports/index.html").read_text()
    return {
        "columns": thin({name: str(column.type) for name, column in columns.items()}),
        "values": json.loads(json.dumps(plain, default=lambda _: "bytes")),
        "headings": re.findall(r"<h[12][^>]*>\s*([^<]+?)\s*<", page),
    }


def _records_of(name: str) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: _records(
        folder, f"data/results/{name}.json", f"data/results/{name}/**/*.json", f"reports/metrics/{name}.json"
    )


VALUES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "images": _images,
    "dataset": _dataset,
    "model": _model,
    "extract": _extract,
    "derive": _hdf5_below("data/derived"),
    "neighbors": _hdf5_below("data/neighbors"),
    "probe": _probe,
    "report": _report,
    **{name: _records_of(name) for name in ("index", "retrieval", "duplicates", "tsne", "maps", "compare")},
    **{name: _records_of(name) for name in ("outliers", "label_issues", "ap", "hard")},
}
