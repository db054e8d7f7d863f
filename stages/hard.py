"""Which classes are hard: sheets of hits, misses and false alarms, and a text made from counts."""

import json
import re
from pathlib import Path

from ..analysis.annotated_objects import read_object_statistics
from ..analysis.ap_comparison import compare_models
from ..analysis.hard_classes import as_json, best_model, choose_classes, examine_class
from ..analysis.model_scores import load_scores
from ..datasets.manifest import image_paths, read_manifest
from ..figures.hard_classes import draw_class_sheet
from ..files.atomic import write_text
from ..params import load_params
from . import run


def main() -> None:
    params = load_params()
    protocol = params.ap.protocols[0]
    data = load_scores(params.ap.of, params)
    comparison = compare_models(
        data.scores,
        data.labels,
        data.classes,
        protocols=[protocol],
        resamples=params.ap.bootstrap,
        seed=params.ap.seed,
    )
    manifest = read_manifest(Path("data/manifest") / f"{params.dataset.test}.csv")
    objects = read_object_statistics("data/manifest/objects.csv", manifest, data.ids)
    path_of = image_paths(manifest, params.dataset.root)
    images = [path_of[name] for name in data.ids.tolist()]
    model = best_model(comparison, protocol)
    folder = Path("reports/hard")
    records = []
    for name, why in choose_classes(comparison, protocol, model).items():
        own = objects.get(name)
        item = examine_class(name, why, comparison, protocol, model, data.scores[model], data.labels, own)
        stem = re.sub(r"[^\w.-]+", "_", name)
        draw_class_sheet(
            item,
            folder / stem,
            images=images,
            ids=data.ids,
            scores=data.scores[model],
            labels=data.labels,
            classes=data.classes,
            objects=own,
        )
        records.append(as_json(item, [f"{stem}.png"]))
    write_text(folder / "hard.json", json.dumps(records, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run(main)
