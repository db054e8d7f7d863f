"""Doubted labels as tables that a person goes through, to correct what is not right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...datasets.manifest import Manifest
from ...files.csv_file import decimals, joined, write_csv
from ...results.label_issues import LabelIssuesResult, ProbeIssues

_ISSUES = ["split", "id", "path", "class", "kind", "label", "suggested", "probability"]
_ISSUES += ["instead", "agreeing", "near", "nearest"]
_CONFLICTS = ["split_a", "id_a", "path_a", "split_b", "id_b", "path_b"]
_CONFLICTS += ["similarity", "identical_bytes", "only_a", "only_b"]


def write_issues(probe: ProbeIssues, manifests: Mapping[str, Manifest], path: Path | str) -> None:
    """Write the labels that a probe doubts as CSV, the most probable first.

    `label` is what the image has, `suggested` what is suspected: 1 present, -1 absent. `path` starts from
    `dataset.root`; the ids in `nearest` are of the training split.
    """
    paths = _paths(manifests)
    rows = []
    for issue in probe.issues:
        label = 1 if issue.kind == "wrong" else -1
        about = [issue.split, issue.id, paths[issue.split][issue.id], issue.class_name, issue.kind]
        near = [issue.instead, issue.agreeing, issue.near, joined(each.id for each in issue.nearest)]
        rows.append([*about, label, -label, decimals(issue.probability), *near])
    write_csv(path, _ISSUES, rows)


def write_conflicts(result: LabelIssuesResult, manifests: Mapping[str, Manifest], path: Path | str) -> None:
    """Write the pairs of like images with different labels as CSV, identical files first."""
    paths = _paths(manifests)
    rows = []
    for pair in result.conflicts:
        a = [pair.split_a, pair.id_a, paths[pair.split_a][pair.id_a]]
        b = [pair.split_b, pair.id_b, paths[pair.split_b][pair.id_b]]
        alike = [decimals(pair.similarity), pair.identical_bytes]
        rows.append([*a, *b, *alike, joined(pair.only_a), joined(pair.only_b)])
    write_csv(path, _CONFLICTS, rows)


def _paths(manifests: Mapping[str, Manifest]) -> dict[str, dict[str, str]]:
    return {
        split: dict(zip(manifest.ids.tolist(), manifest.paths.tolist(), strict=True))
        for split, manifest in manifests.items()
    }
