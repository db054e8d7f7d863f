"""The stage probe: a classifier on each layer that params.yaml names, and its test logits."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from ..files.atomic import make_folders
from ..files.json_file import write_json
from ..params import load_params, split_reference
from ..probe.kind import ProbeTask
from ..probe.kinds import LOGITS, RECORD, WEIGHTS, decided_by, make_probe
from ..project import Project
from ..results.probe import ProbeResult, one_record
from ..results.record import load_record, save_record, tell_gaps
from ..store.feature_file import FeatureFile
from . import run, unit_cache


def main() -> None:
    project = Project()
    params = load_params(project.params)
    splits = params.dataset.train, params.dataset.test
    parts = []
    make_folders(project.probes, filled=bool(params.probe))
    with tempfile.TemporaryDirectory() as scratch, unit_cache(project, "probe") as units:
        for name, settings in params.probe.items():
            model, _ = split_reference(settings.of)
            train, test = (FeatureFile.open(project.features(model, split)) for split in splits)
            task = ProbeTask(name, settings, train, test, project.model(model))
            path, record = project.probe(name), Path(scratch, f"{name}.json")
            outputs = {LOGITS: path, WEIGHTS: path.with_suffix(".safetensors"), RECORD: record}
            units.put(decided_by(task), outputs, functools.partial(make_probe, task))
            parts.append(load_record(ProbeResult, record))
    result = one_record(parts)
    tell_gaps(result, params.probe)
    save_record(result, project.result("probe"))
    write_json(project.metrics("probe"), result.metrics())


if __name__ == "__main__":
    run(main)
