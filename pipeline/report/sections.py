"""The sections of the page: which there are, and what each cannot show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from ..params import Params
from ..results.index_quality import IndexQuality
from ..results.outliers import OutliersResult
from ..results.probe import ProbeResult
from ..results.tsne_map import TsneResult
from .records import Records


class _HasGaps(Protocol):
    @property
    def gaps(self) -> tuple[str, ...]: ...


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes
    ----------
    anchor : str
        Its name in addresses, and that of its template.
    title : str
    shows : bool
        Whether there is anything beside the gaps.
    gaps : tuple of str
        What is missing, and why.
    """

    anchor: str
    title: str
    shows: bool = True
    gaps: tuple[str, ...] = ()


def page_sections(params: Params, records: Records, map_gaps: Sequence[str] = ()) -> tuple[Section, ...]:
    """The sections that params.yaml asks for, in order; one that has nothing to show says why.

    `map_gaps` is what the map lacks beside what its records say.
    """
    ap, hard, retrieval, duplicates = records.ap, records.hard, records.retrieval, records.duplicates
    trained = [model for model, spec in params.models.items() if spec.train]
    probed, undrawn = _probe_gaps(records.probe) if params.probe else ((), ())
    compared = ap is not None and any(row.difference is not None for row in ap.differences)
    nothing_compared = "No two models have an average precision to compare."
    found: list[Section] = []

    def add(asked: object, anchor: str, title: str, shows: object, gaps: Iterable[str]) -> None:
        if asked:
            found.append(Section(anchor, title, bool(shows), tuple(gaps)))

    precision = (*_gaps("ap", ap), *probed, *(ap.notes if ap else ()))
    precise = ap is not None and ap.has_values
    add(params.ap.of, "precision", "Average precision", precise, precision)
    add(
        len(params.ap.of) > 1,
        "differences",
        "Differences between models",
        compared,
        [] if compared else [nothing_compared],
    )
    few = any(each.has_values for each in records.probe.few_shot) if records.probe else False
    shots = any(probe.shots for probe in params.probe.values())
    add(shots, "shots", "Few examples a class", few, undrawn)
    unknown = () if precise else ("No model has an average precision to set beside its cost.",)
    add(params.ap.of, "cost", "Cost and accuracy", precise, unknown)
    maps = [*_layer_gaps("tsne", params.tsne.of, records.maps), *_further_gaps(params, records), *map_gaps]
    maps = list(dict.fromkeys(maps))  # of each map of a layer the same
    mapped = records.maps_by_layer or records.clusters
    add(params.tsne.of or params.maps.of, "map", "Map of the test images", mapped, maps)
    add(params.ap.of, "hard", "Hard and easy classes", hard and hard.classes, _gaps("hard", hard))
    near = retrieval and (retrieval.queries or retrieval.groups)
    add(params.neighbors.of, "neighbors", "Nearest neighbors", near, _gaps("retrieval", retrieval))
    alike = records.comparison
    add(params.compare.of, "alike", "How alike layers are", alike and alike.pairs, _gaps("compare", alike))
    add(params.duplicates.of, "duplicates", "Near-duplicates", duplicates, _gaps("duplicates", duplicates))
    doubted = records.label_issues
    add(params.label_issues.of, "labels", "Labels in doubt", doubted, _gaps("label_issues", doubted))
    add(*_outliers(params, records.outliers))
    search = _layer_gaps("index", params.index.of, records.indexes)
    add(params.index.of, "search", "Search quality", records.indexes, search)
    curves = any(record.history for record in records.trainings.values())
    add(trained, "training", "Training", curves, _missing("model", trained, records.trainings))
    return (*found, Section("run", "What was run", gaps=records.dataset.gaps if records.dataset else ()))


def _outliers(
    params: Params, record: OutliersResult | None
) -> tuple[object, str, str, object, Iterable[str]]:
    """Odd pictures are shown also where no layer was asked."""
    asked = params.outliers.of or (record and any(look.beyond for look in record.looks))
    shows = record and (record.layers or record.looks)
    return asked, "outliers", "Odd and typical images", shows, _gaps("outliers", record)


def _gaps(stage: str, record: _HasGaps | None) -> tuple[str, ...]:
    return (f"The stage {stage} has left no result.",) if record is None else record.gaps


def _probe_gaps(record: ProbeResult | None) -> tuple[Sequence[str], Sequence[str]]:
    """What the probes lack, and what their few examples lack, of which the record tells together."""
    told = _gaps("probe", record)
    if record is None:
        return told, told
    undrawn = list(dict.fromkeys(gap for each in record.few_shot for gap in each.gaps))
    return [gap for gap in told if gap not in undrawn], undrawn


def _further_gaps(params: Params, records: Records) -> list[str]:
    """What further maps and clusters lack."""
    every = [(layer, record) for layer, found in records.further_maps.items() for record in found.values()]
    told = [f"{layer}: {gap}" for layer, record in every for gap in record.gaps]
    told += [f"{layer}: {gap}" for layer, found in records.clusters.items() for gap in found.gaps]
    there = dict.fromkeys([*(layer for layer, _ in every), *records.clusters])
    return [*told, *_missing("maps", params.maps.of, there)]


def _layer_gaps(
    stage: str, layers: Iterable[str], records: Mapping[str, IndexQuality] | Mapping[str, TsneResult]
) -> list[str]:
    told = [f"{name}: {gap}" for name, record in records.items() for gap in record.gaps]
    return told + _missing(stage, layers, records)


def _missing(stage: str, names: Iterable[str], records: Mapping[str, object]) -> list[str]:
    return [f"{name}: the stage {stage} has left no result." for name in names if name not in records]
