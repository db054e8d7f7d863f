"""The stage probe: a classifier on each layer that params.yaml names; its test logits, its few-shot AP."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from ..figures.few_shot import draw_few_shot
from ..files.atomic import make_folders, write_text
from ..files.json_file import write_json
from ..params import load_params, split_reference
from ..probe.few_shot import FEW_SHOT, few_shot_decided_by, measure_few_shot
from ..probe.few_shot_table import few_shot_csv
from ..probe.kind import ProbeTask
from ..probe.kinds import LOGITS, RECORD, WEIGHTS, decided_by, make_probe
from ..project import Project
from ..results.few_shot import FewShotResult
from ..results.probe import ProbeResult, one_record
from ..results.record import load_record, save_record, tell_gaps
from ..store.open_layer import open_layer
from . import run, unit_cache


def main() -> None:
    project = Project()
    params = load_params(project.params)
    splits = params.dataset.train, params.dataset.test
    parts, few_shot = [], []
    make_folders(project.probes, filled=bool(params.probe))
    with tempfile.TemporaryDirectory() as scratch, unit_cache(project, "probe") as units:
        for name, settings in params.probe.items():
            train, test = (open_layer(settings.of, split, params, project)[0] for split in splits)
            model, _ = split_reference(params.source(settings.of))
            task = ProbeTask(name, settings, train, test, project.model(model), project.root)
            path, record = project.probe(name), Path(scratch, f"{name}.json")
            outputs = {LOGITS: path, WEIGHTS: path.with_suffix(".safetensors"), RECORD: record}
            units.put(decided_by(task), outputs, functools.partial(make_probe, task))
            parts.append(load_record(ProbeResult, record))
            if settings.shots:
                key = few_shot_decided_by(task, params.ap.protocols)
                make = functools.partial(measure_few_shot, task, params.ap.protocols, path)
                units.put(key, {FEW_SHOT: record}, make)
                few_shot.append(load_record(FewShotResult, record))
    result = one_record(parts, few_shot)
    tell_gaps(result, params.probe)
    save_record(result, project.result("probe"))
    write_json(project.metrics("probe"), result.metrics())
    make_folders(project.report("probe"), filled=bool(few_shot))
    if few_shot:
        write_text(project.report("probe", "few_shot.csv"), few_shot_csv(few_shot))
        draw_few_shot(few_shot, project.report("probe", "few_shot"))


if __name__ == "__main__":
    run(main)
