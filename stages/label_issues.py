"""The stage label_issues: labels that contradict each other, and those that probes doubt."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..analysis.label_issues.conflicts import find_conflicts, in_order, too_many
from ..analysis.label_issues.doubted import doubt_labels, examine_probe, gaps_of, has_one_label
from ..analysis.label_issues.tables import write_conflicts, write_issues
from ..analysis.neighbor_graph import how_searched, open_graph
from ..datasets.manifest import image_addresses, read_manifest
from ..figures.label_issues import draw_conflicts, draw_issues, draw_reliability
from ..files.atomic import make_folders
from ..files.json_file import write_json
from ..params import Params, load_params
from ..probe.held_out import HELD_OUT, held_out_decided_by, write_held_out
from ..probe.kind import ProbeTask
from ..project import Project
from ..results.label_issues import LabelConflict, LabelIssuesResult, ProbeIssues
from ..results.record import save_record, tell_gaps
from ..store.feature_file import FeatureFile
from ..store.logits_file import read_logits
from ..store.neighbor_file import NeighborFile, graph_name
from ..store.open_layer import open_layer
from ..store.unit_cache import UnitCache
from . import run, unit_cache


def main() -> None:
    project = Project()
    params = load_params(project.params)
    settings = params.label_issues
    make_folders(project.report("label_issues"), filled=bool(settings.of))
    nothing = ("label_issues.of names no probe",)
    result = LabelIssuesResult(threshold=settings.threshold, least=settings.least, gaps=nothing)
    if settings.of:
        with unit_cache(project, "label_issues") as units:
            result = _find(project, params, units)
        _draw(project, params, result)
    save_record(result, project.result("label_issues"))
    tell_gaps(result, settings.of)
    write_json(project.metrics("label_issues"), result.metrics())


def _find(project: Project, params: Params, units: UnitCache) -> LabelIssuesResult:
    settings, gaps = params.label_issues, []
    conflicts: list[LabelConflict] = []
    probes: list[ProbeIssues] = []
    one_label = False
    for name in settings.of:
        probe = params.probe[name]
        splits = params.dataset.train, params.dataset.test
        train, test = files = [open_layer(probe.of, split, params, project)[0] for split in splits]
        task = ProbeTask(name, probe, train, test, project.models, project.root)
        graph, told = _graph(project, params, files, task)
        gaps += told
        alike = find_conflicts(files, graph, settings.threshold)
        gaps += too_many(alike, files, probe.of, settings.threshold)
        conflicts += alike
        held_out = _held_out(project, units, task)
        doubts = doubt_labels(files, held_out, read_logits(project.probe(name)).logits, settings.seed)
        gaps += [f"probe {name}: {gap}" for gap in gaps_of(doubts[0], held_out)]
        probes.append(
            examine_probe(name, probe.of, probe.kind, doubts, graph, settings.listed, settings.least)
        )
        one_label = has_one_label(train.labels)
    conflicts = in_order(conflicts)
    return LabelIssuesResult(
        threshold=settings.threshold,
        least=settings.least,
        one_label=one_label,
        all_conflicts=len(conflicts),
        conflicts=tuple(conflicts[: settings.listed]),
        probes=tuple(probes),
        gaps=tuple(dict.fromkeys(gaps)),
    )


def _held_out(project: Project, units: UnitCache, task: ProbeTask) -> np.ndarray:
    """The scores of the training images, learned once for all settings of this stage."""
    weights = project.probe(task.name).with_suffix(".safetensors")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, HELD_OUT)
        make = functools.partial(write_held_out, task, weights)
        units.put(held_out_decided_by(task, weights), {HELD_OUT: path}, make)
        return read_logits(path).logits


def _graph(
    project: Project, params: Params, files: Sequence[FeatureFile], task: ProbeTask
) -> tuple[NeighborFile | None, list[str]]:
    path = project.neighbors(graph_name(task.settings.of, "cosine", params.index.metric))
    if not path.is_file():
        missing = f"{task.settings.of}: its neighbors by cosine are not stored: no near-duplicate is compared"
        return None, [missing]
    graph = open_graph(path, files, task.layer)
    return graph, how_searched(graph)


def _draw(project: Project, params: Params, result: LabelIssuesResult) -> None:
    root, folder = project.images(params.dataset.root), project.report("label_issues")
    splits = params.dataset.train, params.dataset.test
    manifests = {split: read_manifest(project.manifest(split)) for split in splits}
    images = {split: image_addresses(manifest, root) for split, manifest in manifests.items()}
    write_conflicts(result, manifests, folder / "conflicts.csv")
    draw_conflicts(result, images, folder / "conflicts")
    for probe in result.probes:
        own = folder / probe.probe
        write_issues(probe, manifests, own / "issues.csv")
        draw_reliability(probe, own / "reliability")
        draw_issues(probe, "missing", images, params.dataset.train, own / "missing")
        draw_issues(probe, "wrong", images, params.dataset.train, own / "wrong")


if __name__ == "__main__":
    run(main)
