"""The stage tsne maps a sample of the test split, and measures each map."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np

from ..analysis.tsne import (
    check_mappable,
    choose_backend,
    draw_sample,
    make_map,
    measure_trust,
    names_present,
    write_map,
    write_trust,
)
from ..figures.palette import class_colours, hex_colours, mean_colour
from ..figures.tsne import draw_map, draw_panels
from ..params import load_params, split_reference
from ..store.feature_file import FeatureFile, feature_path
from . import run


def main(reference: str) -> None:
    """Map the layer `reference`, a `<model>/<layer>` of params.yaml."""
    params = load_params()
    model, layer = split_reference(reference)
    settings = params.tsne
    file = FeatureFile.open(feature_path(model, params.dataset.test))
    rows = draw_sample(len(file), settings.sample, settings.seed)
    features, ids, labels = np.asarray(file.layer(layer))[rows], file.ids[rows], file.labels[rows]
    check_mappable(features, ids, settings.perplexity, f"{reference} on {file.split}")
    backend, why = choose_backend(len(rows), settings.backend)
    print(f"tsne {reference}: {len(rows)} of {len(file)} images of {file.split}, {why}", file=sys.stderr)

    draw = functools.partial(make_map, features, perplexity=settings.perplexity, backend=backend)
    found = draw(seed=settings.seed)
    others = [
        draw(seed=settings.seed + 1 + i, start="random").points for i in range(settings.stability_seeds)
    ]
    trust = measure_trust(features, labels, found, others, seed=settings.seed)

    folder = Path("reports/tsne") / model / layer
    colours = hex_colours(mean_colour(labels, class_colours(file.classes)))
    write_map(folder / "map.csv", ids, found.points, names_present(labels, file.classes), colours)
    title = f"{reference}: t-SNE of {len(rows)} images of {file.split}"
    draw_map(found.points, labels, file.classes, trust, folder / "map", title=title)
    draw_panels(found.points, labels, file.classes, trust, folder / "panels", title=f"{title}, by class")
    metrics = Path("reports/metrics/tsne") / model / f"{layer}.json"
    write_trust(metrics, trust, file.classes, backend=backend, images=len(rows))


if __name__ == "__main__":
    run(main)
