"""The page: what the other stages wrote, gathered into one record and rendered by the templates."""

from __future__ import annotations

import base64
import collections
import dataclasses
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from pipeline.atomic_write import write_text
from pipeline.datasets.manifest import read_manifest
from pipeline.params import Params, split_reference
from pipeline.report.atlas import (
    NEIGHBOURS,
    PointMap,
    TestSplit,
    nearest,
    page_data,
    read_map,
    shown_images,
)
from pipeline.report.hard_classes import HardClass, read_hard_classes
from pipeline.report.map_parquet import write_map_parquet
from pipeline.report.pictures import Picture, chart, sheets
from pipeline.report.precision_tables import ClassTable, difference_tables, precision_tables, read_rows
from pipeline.report.provenance import Provenance, read_provenance
from pipeline.report.retrieval_tables import GroupTable, retrieval_tables
from pipeline.report.thumbnails import make_sprites
from pipeline.report.training_curves import Chart, training_charts
from pipeline.store.feature_file import FeatureFile, feature_path

# of the page's 15 MB; base64 makes four characters of three bytes
THUMBNAIL_BYTES = 6_300_000
SHEET_CHARACTERS = 4_000_000
_PAIRS_LISTED = 50

PROTOCOLS = {
    "voc2007": "mean of the interpolated precision at recall 0, 0.1, …, 1, as the 2007 devkit computes it",
    "area": "area under the monotone precision-recall curve, as the devkit does since 2010",
    "sklearn": "sum of (Rₙ − Rₙ₋₁) Pₙ without interpolation, as scikit-learn's average_precision_score",
}


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two images that are nearly the same."""

    a: str
    b: str
    similarity: float
    identical: bool


@dataclasses.dataclass(frozen=True)
class DuplicateReport:
    """How many near-duplicates there are between which splits, and the most similar ones."""

    layer: str
    threshold: float
    counts: tuple[tuple[str, int, int], ...]
    first: tuple[Pair, ...]


@dataclasses.dataclass(frozen=True)
class IndexReport:
    """What one index finds."""

    name: str
    measures: tuple[tuple[str, str], ...]
    pareto: Picture | None


@dataclasses.dataclass(frozen=True)
class Pictures:
    """The figures that stand by themselves."""

    precision: Picture | None
    differences: Picture | None
    neighbours: Picture | None
    duplicates: Picture | None
    panels: Mapping[str, Picture]


@dataclasses.dataclass(frozen=True)
class Page:
    """All that the templates show."""

    provenance: Provenance
    test_split: str
    test_images: int
    metric: str
    resamples: int
    precision: tuple[ClassTable, ...]
    differences: tuple[ClassTable, ...]
    hard: tuple[HardClass, ...]
    retrieval: tuple[GroupTable, ...]
    duplicates: DuplicateReport | None
    search: tuple[IndexReport, ...]
    training: tuple[Chart, ...]
    trust: Mapping[str, tuple[tuple[str, str], ...]]
    pictures: Pictures
    map_data: Mapping[str, Any] | None
    sprites: tuple[str, ...]

    bootstrap_interval = "95 % intervals"

    @property
    def contents(self) -> list[tuple[str, str]]:
        """Anchor and title of each section that has something to show."""
        sections: list[tuple[str, str, object]] = [
            ("precision", "Average precision", self.precision),
            ("differences", "Differences between models", self.differences),
            ("map", "Map of the test images", self.map_data),
            ("hard", "Hard and easy classes", self.hard),
            ("neighbours", "Nearest neighbours", self.pictures.neighbours or self.retrieval),
            ("duplicates", "Near-duplicates", self.duplicates),
            ("search", "Search quality", self.search),
            ("training", "Training", self.training),
            ("run", "What was run", True),
        ]
        return [(anchor, title) for anchor, title, there in sections if there]

    @property
    def model_number(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.provenance.cards)}

    @property
    def summary(self) -> str:
        """The page in a line, from its numbers."""
        splits = " and ".join(f"{s.images} images in {s.name}" for s in self.provenance.splits)
        parts = [f"{splits}, {len(self.provenance.classes)} classes, {len(self.provenance.cards)} models"]
        if self.precision and (mean := self.precision[0].mean):
            scored = [
                (cell, model)
                for cell, model in zip(mean.cells, self.precision[0].columns, strict=True)
                if cell and cell.value is not None
            ]
            if scored:
                cell, model = max(scored, key=lambda pair: pair[0].value)
                span = f" ({cell.lo:.3f} to {cell.hi:.3f})" if cell.lo is not None else ""
                parts.append(
                    f"the best mAP is {cell.value:.3f}{span} by {model}, protocol {self.precision[0].protocol}"
                )
        return "; ".join(parts) + "."

    @property
    def atlas_command(self) -> str:
        """What opens the first map in embedding-atlas."""
        name = self.map_data["maps"][0]["name"] if self.map_data else ""
        return (
            f'embedding-atlas reports/map.parquet --x "x {name}" --y "y {name}" '
            f'--neighbors "neighbors {name}" --image image --disable-projection'
        )


def write_report(params: Params, data: Path = Path("data"), reports: Path = Path("reports")) -> None:
    """Write `reports`/index.html and `reports`/map.parquet from what is under `data` and `reports`.

    A part of the run that is not there is left out of the page.

    Raises
    ------
    UserError
        If the manifests are not there, or the files do not belong together.
    """
    test = read_manifest(data / "manifest" / f"{params.dataset.test}.csv")
    root = Path(params.dataset.root)
    split = TestSplit(
        test.split, test.ids, test.labels, test.classes, [root / path for path in test.paths.tolist()]
    )
    maps = [
        read_map(path, name, test.ids)
        for name in params.tsne.of
        if (path := reports / "tsne" / name / "map.csv").is_file()
    ]
    shown = shown_images(maps, len(test))
    layers = list(dict.fromkeys([*params.neighbors.of, *params.tsne.of]))
    sprites = make_sprites([split.paths[row] for row in shown], THUMBNAIL_BYTES) if maps else None
    everything = np.arange(len(test))
    near = [
        nearest(name, _vectors(name, split, everything, data), shown, params.index.metric, NEIGHBOURS)
        for name in (layers if maps else ())
    ]
    map_data = page_data(split, shown, sprites, maps, near, params.index.metric) if sprites else None
    _write_parquet(params, split, maps, data, reports / "map.parquet")

    hard = read_hard_classes(reports / "hard")
    sheet_files = [reports / "neighbors/sheet.png", reports / "duplicates/sheet.png"]
    sheet_files += [path for item in hard for _, path in item.sheet_files]
    shrunk = sheets([path for path in sheet_files if path.is_file()], SHEET_CHARACTERS)
    page = Page(
        provenance=read_provenance(params, test, data),
        test_split=test.split,
        test_images=len(test),
        metric=params.index.metric,
        resamples=params.ap.bootstrap,
        precision=precision_tables(reports / "ap/ap.csv"),
        differences=difference_tables(reports / "ap/differences.csv"),
        hard=tuple(item.with_pictures(shrunk) for item in hard),
        retrieval=retrieval_tables(reports / "neighbors/retrieval.csv"),
        duplicates=_duplicates(params, reports / "duplicates/duplicates.csv"),
        search=_search(params, reports),
        training=training_charts(reports / "training", list(params.models)),
        trust={m.name: measures(_read_json(reports / "metrics/tsne" / f"{m.name}.json") or {}) for m in maps},
        pictures=Pictures(
            precision=_chart(reports / "ap/ap.png"),
            differences=_chart(reports / "ap/differences.png"),
            neighbours=shrunk.get(reports / "neighbors/sheet.png"),
            duplicates=shrunk.get(reports / "duplicates/sheet.png"),
            panels={m.name: p for m in maps if (p := _chart(reports / "tsne" / m.name / "panels.png"))},
        ),
        map_data=map_data,
        sprites=tuple(base64.b64encode(sheet).decode() for sheet in sprites.sheets) if sprites else (),
    )
    write_text(reports / "index.html", render(page))


def render(page: Page) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "json": _json,
        "decimals": lambda value, none="–": none if value is None else f"{value:.3f}",
        "signed": lambda value: "–" if value is None else f"{value:+.3f}".replace("-", "−"),
        "integer": lambda value: "–" if value is None else str(value),
        "short": _short,
    }
    environment.globals |= {"asset": _asset, "protocols": PROTOCOLS}
    return environment.get_template("page.html.j2").render(page=page)


def measures(metrics: Mapping[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """The numbers and words of a metrics file as pairs of name and text, nested names joined by spaces."""
    pairs: list[tuple[str, str]] = []
    for name, value in metrics.items():
        words = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            pairs += measures(value, f"{words} ")
        elif isinstance(value, float):
            pairs.append((words, _short(value)))
        elif value is not None and not isinstance(value, list):
            pairs.append((words, str(value)))
    return tuple(pairs)


def _vectors(name: str, split: TestSplit, rows: np.ndarray, data: Path) -> np.ndarray:
    """The features of some images of the test split; not a copy where all are asked for, in the file's order."""
    model, layer = split_reference(name)
    features = FeatureFile.open(feature_path(model, split.name, data / "features"))
    ids = split.ids[rows]
    vectors = features.layer(layer)
    return vectors if np.array_equal(features.ids, ids) else vectors[features.rows(ids.tolist())]


def _write_parquet(
    params: Params, split: TestSplit, maps: Sequence[PointMap], data: Path, path: Path
) -> None:
    rows = np.unique(np.concatenate([m.rows for m in maps])) if maps else np.arange(len(split.ids))
    everyone = np.arange(len(rows))
    near = [
        nearest(m.name, _vectors(m.name, split, rows, data), everyone, params.index.metric, NEIGHBOURS)
        for m in maps
    ]
    write_map_parquet(path, split, rows, maps, near)


def _duplicates(params: Params, path: Path) -> DuplicateReport | None:
    if not path.is_file():
        return None
    rows = sorted(read_rows(path), key=lambda row: -float(row["similarity"]))
    pairs: collections.Counter[str] = collections.Counter()
    identical: collections.Counter[str] = collections.Counter()
    first = []
    for row in rows:
        splits = (
            f"within {row['split_a']}"
            if row["split_a"] == row["split_b"]
            else f"{row['split_a']} and {row['split_b']}"
        )
        same = row["identical_bytes"].lower() in {"1", "true", "yes"}
        pairs[splits] += 1
        identical[splits] += same
        first.append(
            Pair(
                f"{row['split_a']}/{row['id_a']}",
                f"{row['split_b']}/{row['id_b']}",
                float(row["similarity"]),
                same,
            )
        )
    counts = tuple((splits, pairs[splits], identical[splits]) for splits in sorted(pairs))
    return DuplicateReport(
        params.duplicates.of, params.duplicates.threshold, counts, tuple(first[:_PAIRS_LISTED])
    )


def _search(params: Params, reports: Path) -> tuple[IndexReport, ...]:
    found = []
    for name in params.index.of:
        metrics = _read_json(reports / "metrics/search" / f"{name}.json")
        if metrics is not None:
            found.append(
                IndexReport(name, measures(metrics), _chart(reports / "search" / name / "pareto.png"))
            )
    return tuple(found)


def _chart(path: Path) -> Picture | None:
    return chart(path) if path.is_file() else None


def _read_json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _json(value: Any) -> Markup:
    """JSON that can stand in a script element: no `<` may end it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _short(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")


def _asset(name: str) -> Markup:
    """A style sheet or script, as it is."""
    return Markup((importlib.resources.files(__package__) / "templates" / name).read_text(encoding="utf-8"))
