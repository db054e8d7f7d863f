"""The records of a run that the page shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from ..params import Params
from ..project import Project
from ..results.ap import ApResult
from ..results.clusters import ClustersResult
from ..results.comparison import CompareResult
from ..results.dataset import DatasetResult
from ..results.duplicates import DuplicatesResult
from ..results.hard import HardResult
from ..results.index_quality import IndexQuality
from ..results.label_issues import LabelIssuesResult
from ..results.layer_map import MapResult
from ..results.outliers import OutliersResult
from ..results.probe import ProbeResult
from ..results.record import R, load_if_there
from ..results.retrieval import RetrievalResult
from ..results.training import TrainingResult
from ..results.tsne_map import TsneResult


@dataclasses.dataclass(frozen=True)
class Records:
    """What the stages found; None, or no entry, where params.yaml asks for it and there is none.

    Attributes
    ----------
    indexes, maps, clusters : {<model>/<layer>: record}
        `maps` are those by t-SNE.
    further_maps : {<model>/<layer>: {method, or name of one's own points: record}}
    trainings : {model: record}
    """

    dataset: DatasetResult | None = None
    ap: ApResult | None = None
    probe: ProbeResult | None = None
    hard: HardResult | None = None
    retrieval: RetrievalResult | None = None
    duplicates: DuplicatesResult | None = None
    label_issues: LabelIssuesResult | None = None
    outliers: OutliersResult | None = None
    comparison: CompareResult | None = None
    indexes: Mapping[str, IndexQuality] = dataclasses.field(default_factory=dict)
    maps: Mapping[str, TsneResult] = dataclasses.field(default_factory=dict)
    further_maps: Mapping[str, Mapping[str, MapResult]] = dataclasses.field(default_factory=dict)
    clusters: Mapping[str, ClustersResult] = dataclasses.field(default_factory=dict)
    trainings: Mapping[str, TrainingResult] = dataclasses.field(default_factory=dict)

    @property
    def maps_by_layer(self) -> dict[str, list[TsneResult | MapResult]]:
        """All maps that there are, of each layer t-SNE's first."""
        found: dict[str, list[TsneResult | MapResult]] = {
            layer: [record] for layer, record in self.maps.items() if record.ids
        }
        for layer, records in self.further_maps.items():
            if made := [record for record in records.values() if record.ids]:
                found.setdefault(layer, []).extend(made)
        return found


def read_records(params: Params, project: Project) -> Records:
    """Read the records that params.yaml asks for; `UserError` for a damaged one."""

    def one(kind: type[R], name: str, asked: object) -> R | None:
        return load_if_there(kind, project.result(name)) if asked else None

    def each(kind: type[R], folder: str, names: Iterable[str]) -> dict[str, R]:
        found = {name: one(kind, f"{folder}/{name}", True) for name in names}
        return {name: record for name, record in found.items() if record is not None}

    names = [*params.maps.methods, *params.maps.points]
    asked = params.maps.of if params.maps.clusters != "none" else ()
    clusters = {layer: each(ClustersResult, f"maps/{layer}", ["clusters"]) for layer in asked}
    return Records(
        dataset=one(DatasetResult, "dataset", True),
        ap=one(ApResult, "ap", params.ap.of),
        probe=one(ProbeResult, "probe", params.probe),
        hard=one(HardResult, "hard", params.ap.of),
        retrieval=one(RetrievalResult, "retrieval", params.neighbors.of),
        duplicates=one(DuplicatesResult, "duplicates", params.duplicates.of),
        label_issues=one(LabelIssuesResult, "label_issues", params.label_issues.of),
        outliers=one(OutliersResult, "outliers", True),  # of looks it tells unasked
        comparison=one(CompareResult, "compare", params.compare.of),
        indexes=each(IndexQuality, "index", params.index.of),
        maps=each(TsneResult, "tsne", params.tsne.of),
        further_maps={layer: each(MapResult, f"maps/{layer}", names) for layer in params.maps.of},
        clusters={layer: found["clusters"] for layer, found in clusters.items() if found},
        trainings=each(TrainingResult, "training", params.models),
    )
