"""The page: what the other stages wrote, gathered into one record."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..datasets.manifest import read_manifest
from ..files.atomic import write_text
from ..params import Params, split_reference
from ..store.feature_file import FeatureFile, feature_path
from .duplicate_pairs import DuplicateReport, read_duplicates
from .hard_classes import HardClass, read_hard_classes
from .index_quality import IndexQuality, read_index_quality
from .map_data import (
    NEIGHBORS,
    PointMap,
    TestSplit,
    nearest,
    page_data,
    read_map,
    shown_images,
)
from .map_parquet import write_map_parquet
from .map_trust import MapTrust, read_trust
from .pictures import Picture, chart, sheets
from .precision_tables import ClassTable, difference_tables, precision_tables
from .provenance import Provenance, read_provenance
from .rendering import render
from .retrieval_tables import Retrieval, read_retrieval
from .thumbnails import make_sprites, shrink_images
from .training_curves import Chart, training_charts

# of the page's 15 MB; base64 makes four characters of three bytes
THUMBNAIL_BYTES = 6_300_000
SHEET_CHARACTERS = 4_000_000


@dataclasses.dataclass(frozen=True)
class Pictures:
    """The figures that stand by themselves."""

    precision: Picture | None
    differences: Picture | None
    neighbors: Picture | None
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
    retrieval: Retrieval | None
    duplicates: DuplicateReport | None
    search: tuple[IndexQuality, ...]
    training: tuple[Chart, ...]
    trust: Mapping[str, MapTrust]
    pictures: Pictures
    map_data: Mapping[str, Any] | None
    sprites: tuple[str, ...]

    @property
    def contents(self) -> list[tuple[str, str]]:
        """Anchor and title of each section that has something to show."""
        sections: list[tuple[str, str, object]] = [
            ("precision", "Average precision", self.precision),
            ("differences", "Differences between models", self.differences),
            ("map", "Map of the test images", self.map_data),
            ("hard", "Hard and easy classes", self.hard),
            ("neighbors", "Nearest neighbors", self.pictures.neighbors or self.retrieval),
            ("duplicates", "Near-duplicates", self.duplicates),
            ("search", "Search quality", self.search),
            ("training", "Training", self.training),
            ("run", "What was run", True),
        ]
        return [(anchor, title) for anchor, title, there in sections if there]

    @property
    def search_columns(self) -> list[str]:
        """The names of the measures that any index has."""
        return list(dict.fromkeys(name for index in self.search for name in index.measures))

    @property
    def model_number(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.provenance.cards)}

    @property
    def summary(self) -> str:
        """The page in a line, from its numbers."""
        splits = " and ".join(f"{s.images} images in {s.name}" for s in self.provenance.splits)
        parts = [f"{splits}, {len(self.provenance.classes)} classes, {len(self.provenance.cards)} models"]
        if self.precision and (table := self.precision[0]).mean:
            named = zip(table.mean.cells, table.columns, strict=True)
            scored = [(cell.value, cell, model) for cell, model in named if cell and cell.value is not None]
            if scored:
                value, cell, model = max(scored, key=lambda best: best[0])
                span = f" ({cell.lo:.3f} to {cell.hi:.3f})" if cell.lo is not None else ""
                parts.append(f"the best mAP is {value:.3f}{span} by {model}, protocol {table.protocol}")
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
    small = shrink_images([split.paths[row] for row in shown])
    sprites = make_sprites(small, THUMBNAIL_BYTES) if maps else None
    everything = np.arange(len(test))
    near = [
        nearest(name, _vectors(name, split, everything, data), shown, params.index.metric, NEIGHBORS)
        for name in (layers if maps else ())
    ]
    map_data = page_data(split, shown, sprites, maps, near, params.index.metric) if sprites else None
    pictures = dict(zip(shown.tolist(), small, strict=True))
    _write_parquet(params, split, maps, pictures, data, reports / "map.parquet")

    hard = read_hard_classes(reports / "hard")
    sheet_files = [reports / "neighbors/sheet.png", reports / "duplicates/sheet.png"]
    sheet_files += [path for item in hard for path in item.sheet_files]
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
        retrieval=read_retrieval(reports / "neighbors/retrieval.csv", test.classes),
        duplicates=read_duplicates(params.duplicates, reports / "duplicates/duplicates.csv"),
        search=read_index_quality(params.index.of, data, reports),
        training=training_charts(reports / "training", list(params.models)),
        trust={
            m.name: trust for m in maps if (trust := read_trust(reports / "metrics/tsne" / f"{m.name}.json"))
        },
        pictures=Pictures(
            precision=_chart(reports / "ap/ap.png"),
            differences=_chart(reports / "ap/differences.png"),
            neighbors=shrunk.get(reports / "neighbors/sheet.png"),
            duplicates=shrunk.get(reports / "duplicates/sheet.png"),
            panels={m.name: p for m in maps if (p := _chart(reports / "tsne" / m.name / "panels.png"))},
        ),
        map_data=map_data,
        sprites=tuple(base64.b64encode(sheet).decode() for sheet in sprites.sheets) if sprites else (),
    )
    write_text(reports / "index.html", render(page))


def _vectors(name: str, split: TestSplit, rows: np.ndarray, data: Path) -> np.ndarray:
    """The features of some images of the test split; no copy where they are the file as it stands."""
    model, layer = split_reference(name)
    features = FeatureFile.open(feature_path(model, split.name, data / "features"))
    ids = split.ids[rows]
    vectors = features.layer(layer)
    return vectors if np.array_equal(features.ids, ids) else vectors[features.rows(ids.tolist())]


def _write_parquet(
    params: Params,
    split: TestSplit,
    maps: Sequence[PointMap],
    pictures: Mapping[int, Image.Image],
    data: Path,
    path: Path,
) -> None:
    rows = np.unique(np.concatenate([m.rows for m in maps])) if maps else np.arange(len(split.ids))
    everyone = np.arange(len(rows))
    near = [
        nearest(m.name, _vectors(m.name, split, rows, data), everyone, params.index.metric, NEIGHBORS)
        for m in maps
    ]
    write_map_parquet(path, split, rows, maps, near, pictures)


def _chart(path: Path) -> Picture | None:
    return chart(path) if path.is_file() else None
