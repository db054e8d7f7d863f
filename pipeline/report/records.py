"""The records of a run that the page shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from ..params import Params
from ..project import Project
from ..results.ap import ApResult
from ..results.dataset import DatasetResult
from ..results.duplicates import DuplicatesResult
from ..results.hard import HardResult
from ..results.index_quality import IndexQuality
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
    indexes, maps : {<model>/<layer>: record}
    trainings : {model: record}
    """

    dataset: DatasetResult | None = None
    ap: ApResult | None = None
    probe: ProbeResult | None = None
    hard: HardResult | None = None
    retrieval: RetrievalResult | None = None
    duplicates: DuplicatesResult | None = None
    indexes: Mapping[str, IndexQuality] = dataclasses.field(default_factory=dict)
    maps: Mapping[str, TsneResult] = dataclasses.field(default_factory=dict)
    trainings: Mapping[str, TrainingResult] = dataclasses.field(default_factory=dict)


def read_records(params: Params, project: Project) -> Records:
    """Read the records that params.yaml asks for; `UserError` for a damaged one."""

    def one(kind: type[R], name: str, asked: object) -> R | None:
        return load_if_there(kind, project.result(name)) if asked else None

    def each(kind: type[R], folder: str, names: Iterable[str]) -> dict[str, R]:
        found = {name: one(kind, f"{folder}/{name}", True) for name in names}
        return {name: record for name, record in found.items() if record is not None}

    return Records(
        dataset=one(DatasetResult, "dataset", True),
        ap=one(ApResult, "ap", params.ap.of),
        probe=one(ProbeResult, "probe", params.probe),
        hard=one(HardResult, "hard", params.ap.of),
        retrieval=one(RetrievalResult, "retrieval", params.neighbors.of),
        duplicates=one(DuplicatesResult, "duplicates", params.duplicates.of),
        indexes=each(IndexQuality, "index", params.index.of),
        maps=each(TsneResult, "tsne", params.tsne.of),
        trainings=each(TrainingResult, "training", params.models),
    )
