"""The stage probe: a linear classifier on each layer that params.yaml names, and its test logits."""

from __future__ import annotations

import functools
import tempfile
from importlib.metadata import version
from pathlib import Path

from ..files.atomic import make_folders
from ..files.json_file import write_json
from ..params import load_params, split_reference
from ..probe.linear_probe import LOGITS, RECORD, WEIGHTS, probe_layer
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
            model, layer = split_reference(settings.of)
            train, test = (FeatureFile.open(project.features(model, split)) for split in splits)
            key = {
                "scikit-learn": version("scikit-learn"),
                "probe": [name, settings.of, settings.C, settings.folds, settings.seed],
                "files": [
                    [file.split, file.classes, file.layer_digest(layer), file.ids_digest, file.labels_digest]
                    for file in (train, test)
                ],
            }
            path, record = project.probe(name), Path(scratch, f"{name}.json")
            outputs = {LOGITS: path, WEIGHTS: path.with_suffix(".safetensors"), RECORD: record}
            units.put(key, outputs, functools.partial(probe_layer, name, settings, train, test))
            parts.append(load_record(ProbeResult, record))
    result = one_record(parts)
    tell_gaps(result, params.probe)
    save_record(result, project.result("probe"))
    write_json(project.metrics("probe"), {probe.name: probe.metrics() for probe in result.probes})


if __name__ == "__main__":
    run(main)
