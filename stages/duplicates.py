"""List the near-duplicates within the splits and the leaks between them."""

from __future__ import annotations

import json
from pathlib import Path

from ..analysis.duplicates import count_duplicates, find_duplicates, write_duplicates
from ..datasets.manifest import image_paths, read_manifest
from ..figures.duplicates import draw_duplicates
from ..files.atomic import write_text
from ..params import load_params
from ..store.feature_file import FeatureFile, feature_path
from . import run

REPORTS = Path("reports/duplicates")


def main() -> None:
    params = load_params()
    model, layer = params.duplicates.of.split("/")
    splits = [params.dataset.train, params.dataset.test]
    files = [FeatureFile.open(feature_path(model, split)) for split in splits]
    pairs = find_duplicates(files, layer, params.duplicates.threshold)
    write_duplicates(pairs, REPORTS / "duplicates.csv")
    images = {
        split: image_paths(read_manifest(f"data/manifest/{split}.csv"), params.dataset.root)
        for split in splits
    }
    draw_duplicates(pairs, images, REPORTS / "sheet", threshold=params.duplicates.threshold)
    counts = count_duplicates(pairs, splits)
    write_text("reports/metrics/duplicates.json", json.dumps(counts, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run(main)
