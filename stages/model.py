"""The stage model@M: `python stages/model.py M` makes data/models/M, trained where the recipe says so."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.datasets.manifest import read_manifest
from pipeline.errors import told_in_one_line
from pipeline.models.weights import start_network, store_start
from pipeline.params import load_params
from pipeline.training.curves import Curves
from pipeline.training.train import train_model, write_metrics


def main(name: str) -> None:
    """Make the model of that name in params.yaml."""
    params = load_params()
    model, dataset = params.models[name], params.dataset
    model_dir = Path("data/models") / name
    curves_dir = Path("reports/training") / name
    metrics_file = Path("reports/metrics/training") / f"{name}.json"
    split = (model.train.split if model.train else None) or dataset.train
    train = read_manifest(Path("data/manifest") / f"{split}.csv")
    start = start_network(name, model, train.classes)
    if model.train is None:
        store_start(name, model, start, model_dir)
        Curves(curves_dir, []).close()
        write_metrics(metrics_file, [], None)
        return
    val = read_manifest(Path("data/manifest") / f"{dataset.val}.csv") if model.train.hold_out else None
    train_model(
        name,
        model,
        start,
        train,
        val,
        root=Path(dataset.root),
        model_dir=model_dir,
        curves_dir=curves_dir,
        metrics_file=metrics_file,
    )


if __name__ == "__main__":
    with told_in_one_line():
        main(*sys.argv[1:])
