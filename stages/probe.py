"""Train a probe on one stored layer and write its logits for the test split; opens no image."""

import json
import sys
from pathlib import Path

from ..errors import UserError
from ..files.atomic import write_text
from ..params import load_params, split_reference
from ..probe.linear_probe import check_finite, train_probe, write_weights
from ..store.feature_file import FeatureFile, feature_path
from ..store.logits_file import LogitsFile, write_logits
from . import run


def main(name: str) -> None:
    params = load_params()
    spec = params.probe.get(name)
    if spec is None:
        raise UserError(f"no probe {name!r} in params.yaml; it has {', '.join(params.probe)}")
    model, layer = split_reference(spec.of)
    train = FeatureFile.open(feature_path(model, params.dataset.train))
    test = FeatureFile.open(feature_path(model, params.dataset.test))
    for split in (train, test):
        check_finite(split.layer(layer), split.ids, f"{spec.of} on {split.split}")

    probe = train_probe(train.layer(layer), train.labels, train.classes, spec.C, spec.folds, spec.seed)
    for missing in probe.constant:
        print(
            f"probe {name}: {missing} is on none or on all of the images of {train.split}; "
            "its logits say nothing",
            file=sys.stderr,
        )

    folder = Path("data/probes")
    write_weights(folder / f"{name}.safetensors", probe, spec.of, train.key(layer))
    write_logits(
        folder / f"{name}.h5",
        LogitsFile(
            of=spec.of,
            split=test.split,
            key=test.key(layer),
            classes=test.classes,
            ids=test.ids,
            labels=test.labels,
            logits=probe.logits(test.layer(layer)),
        ),
    )
    metrics = Path("reports/metrics/probe") / f"{name}.json"
    write_text(metrics, json.dumps(probe.metrics(), indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    run(main)
