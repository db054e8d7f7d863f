"""The page: what the other stages found, gathered for the templates."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..analysis.neighbor_graph import how_searched, open_graph
from ..datasets.manifest import Manifest, read_manifest
from ..figures.training_curves import METRICS, training_figure
from ..files.atomic import write_text
from ..files.hints import counted
from ..images.address import Address
from ..params import Metric, Params
from ..project import Project
from ..results.ap import MEAN
from ..store.open_layer import open_layer
from .cost import BESIDE, Cost, cost_script, costs_of, figure_data
from .map_data import Neighborhood, neighborhood, page_data, point_map, shown_images
from .map_parquet import write_map_parquet
from .pictures import Picture, chart, drawn, sheets
from .provenance import Provenance, read_provenance
from .records import Records, read_records
from .rendering import render
from .sections import Section, page_sections
from .thumbnails import make_sprites, shrink_images

# of the page's 15 MB; base64 makes four characters of three bytes
THUMBNAIL_BYTES = 6_300_000
SHEET_CHARACTERS = 4_000_000


@dataclasses.dataclass(frozen=True)
class MapParts:
    """What the interactive map is made of.

    Attributes
    ----------
    data : dict or None
        For the scripts, and `sprites` for its images; None and nothing where there is no map.
    sprites : tuple of str
        WebP in base64.
    gaps : tuple of str
    """

    data: Mapping[str, Any] | None
    sprites: tuple[str, ...]
    gaps: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Page:
    """All that the templates show.

    Attributes
    ----------
    charts : {path under reports/, without its ending: figure}
        Also `training/<metric>`, drawn for the page.
    sheets : likewise, of photographs
    """

    records: Records
    provenance: Provenance
    metric: Metric
    map: MapParts
    charts: Mapping[str, Picture]
    sheets: Mapping[str, Picture]
    costs: tuple[Cost, ...]
    sections: tuple[Section, ...]

    @property
    def test(self) -> Manifest:
        """The images that the page is about."""
        return self.provenance.splits[-1]

    @property
    def summary(self) -> str:
        """The page in a line, from its numbers."""
        splits = " and ".join(
            f"{counted(len(split), self.provenance.row)} in {split.split}" for split in self.provenance.splits
        )
        classes = counted(len(self.test.classes), "class", "classes") if self.test.classes else "no labels"
        parts = [f"{splits}, {classes}, {counted(len(self.provenance.cards), 'model')}"]
        if (ap := self.records.ap) and ap.has_values:
            measure = ap.measures[0]
            best = ap.row(None, ap.best_model(measure), measure)
            span = "" if best.lo is None else f" ({best.lo:.3f} to {best.hi:.3f})"
            parts.append(f"the best {MEAN} is {best.ap:.3f}{span} by {best.model}, {measure}")
        return "; ".join(parts) + "."

    @property
    def cost_data(self) -> dict[str, Any]:
        """What the figure of cost against accuracy is drawn from."""
        return figure_data(self.records.ap, self.costs) if self.records.ap else {}

    @property
    def atlas_command(self) -> str:
        """What opens the first map in Apple's embedding-atlas."""
        first = self.map.data["maps"][0] if self.map.data else {"name": "", "layer": ""}
        return (
            f'embedding-atlas reports/map.parquet --x "x {first["name"]}" --y "y {first["name"]}" '
            f'--neighbors "neighbors {first["layer"]}" --image image --disable-projection'
        )


def write_report(params: Params, project: Project) -> None:
    """Write reports/index.html and reports/map.parquet from the records and figures of a project.

    Beside them goes reports/cost.js, with what was measured on this machine, of which the page's bytes must
    not depend. What params.yaml asks for and a stage could not give is said on the page.

    Raises
    ------
    UserError
        If the manifests are not there, or the files do not belong together.
    """
    test = read_manifest(project.manifest(params.dataset.test))
    records = read_records(params, project)
    parts = _write_maps(params, project, test, records)
    page = Page(
        records=records,
        provenance=read_provenance(params, test, project),
        metric=params.index.metric,
        map=parts,
        charts=_charts(records, project),
        sheets=_sheets(records, project),
        costs=costs_of(records.ap, params, project),
        sections=page_sections(params, records, parts.gaps),
    )
    write_text(project.report(BESIDE), cost_script(page.costs, page.provenance.features, project))
    write_text(project.report("index.html"), render(page))


def _write_maps(params: Params, project: Project, test: Manifest, records: Records) -> MapParts:
    """Write the parquet file, and give what the page's own map needs of the same."""
    maps = [point_map(record, test) for found in records.maps_by_layer.values() for record in found]
    layers = dict.fromkeys([*params.neighbors.of, *params.tsne.of, *params.maps.of]) if maps else {}
    near, gaps = [], []
    for layer in layers:
        found, told = _neighborhood(layer, params, project, test)
        near += found
        gaps += told
    shown = shown_images(maps, len(test))
    root = project.images(params.dataset.root)
    small = shrink_images([Address.parse(path, root) for path in test.paths[shown].tolist()])
    pictures = dict(zip(shown.tolist(), small, strict=True))
    write_map_parquet(project.report("map.parquet"), test, maps, near, records.clusters, pictures)
    if not maps:
        return MapParts(None, (), ())
    sprites = make_sprites(small, THUMBNAIL_BYTES)
    data = page_data(test, shown, sprites, maps, near, records.clusters, params.index.metric)
    return MapParts(data, tuple(base64.b64encode(sheet).decode() for sheet in sprites.sheets), tuple(gaps))


def _neighborhood(
    layer: str, params: Params, project: Project, test: Manifest
) -> tuple[list[Neighborhood], list[str]]:
    """The neighbors of a layer, if its graph is there, and what is to be said of them."""
    path = project.neighbors(layer)
    if not path.is_file():
        return [], [f"{layer}: its neighbors are not stored"]
    features, name = open_layer(layer, test.split, params, project)
    graph = open_graph(path, [features], name)
    return [neighborhood(graph, features.ids, test)], how_searched(graph)


def _charts(records: Records, project: Project) -> dict[str, Picture]:
    names = ["ap/ap", "ap/differences", "probe/few_shot"]
    if records.comparison:
        names += ["compare/heatmap", "compare/tree"]
    names += [f"search/{layer}/pareto" for layer in records.indexes]
    if records.label_issues:
        names += [f"label_issues/{each.probe}/reliability" for each in records.label_issues.probes]
    if records.outliers:
        names += [f"outliers/{layer}/distances" for layer in records.outliers.by_layer]
    names += [f"tsne/{layer}/panels" for layer, record in records.maps.items() if record.by_class]
    names += [f"maps/{layer}/clusters/maps" for layer, found in records.clusters.items() if found.clusters]
    paths = {name: project.report(f"{name}.png") for name in names}
    charts = {name: chart(path) for name, path in paths.items() if path.is_file()}
    for metric in METRICS:
        curves = {
            model: [getattr(epoch, metric) for epoch in record.history]
            for model, record in records.trainings.items()
            if record.history
        }
        if figure := training_figure(metric, curves):
            charts[f"training/{metric}"] = drawn(figure)
    return charts


def _sheets(records: Records, project: Project) -> dict[str, Picture]:
    names = []
    if records.retrieval and records.retrieval.queries:
        names.append("neighbors/sheet")
    if records.duplicates and records.duplicates.pairs:
        names += ["duplicates/sheet", "duplicates/groups"]
    if doubted := records.label_issues:
        names += ["label_issues/conflicts"] * bool(doubted.conflicts)
        names += [f"label_issues/{p.probe}/{kind}" for p in doubted.probes for kind in ("missing", "wrong")]
    if records.outliers:
        names += ["outliers/looks"] * any(look.beyond for look in records.outliers.looks)
        names += [f"outliers/{of}/{name}" for of in records.outliers.by_layer for name in ("odd", "typical")]
    if records.comparison:
        names += [f"compare/{pair.sheet}" for pair in records.comparison.differing]
    if records.hard:
        names += [f"hard/{Path(item.sheet).stem}" for item in records.hard.classes]
    paths = {name: project.report(f"{name}.png") for name in names}
    found = {name: path for name, path in paths.items() if path.is_file()}
    shrunk = sheets(list(found.values()), SHEET_CHARACTERS)
    return {name: shrunk[path] for name, path in found.items()}
