"""The stage model@M makes data/models/M, trained where the recipe says so."""

from __future__ import annotations

from pathlib import Path

from ..datasets.manifest import read_manifest
from ..models.weights import start_network, store_start
from ..params import load_params
from ..training.curves import Curves
from ..training.train import train_model, write_metrics
from . import run


def main(name: str) -> None:
    """Make the model of that name in params.yaml."""
    params = load_params()
    model, dataset = params.model(name), params.dataset
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
    run(main)
