"""The kinds of probes, and how one is made and kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from safetensors.numpy import save

from ..files.atomic import atomic_write
from ..files.digests import sha256_of_file
from ..results.probe import ProbeResult
from ..results.record import save_record
from ..search.vectors import check_finite
from ..store.logits_file import LogitsFile, write_logits
from . import knn, linear_probe, zeroshot
from .kind import Probe, ProbeKind, ProbeTask

LOGITS, WEIGHTS, RECORD = "logits.h5", "weights.safetensors", "probe.json"

KINDS: Mapping[str, ProbeKind] = {
    "linear": ProbeKind(
        linear_probe.decided_by, linear_probe.train, linear_probe.held_out, linear_probe.train_few
    ),
    "knn": ProbeKind(knn.decided_by, knn.train, knn.held_out, knn.train_few),
    "zeroshot": ProbeKind(zeroshot.decided_by, zeroshot.train, zeroshot.held_out),
}


def decided_by(task: ProbeTask) -> dict[str, Any]:
    """All that decides the files of `make_probe`, as plain JSON values."""
    settings = task.settings
    files = [
        [file.split, file.classes, file.layer_digest(task.layer), file.ids_digest, file.labels_digest]
        for file in (task.train, task.test)
    ]
    kind = KINDS[settings.kind].decided_by(task)
    return {"probe": [task.name, settings.of, settings.kind], "kind": kind, "files": files}


def make_probe(task: ProbeTask, folder: Path) -> None:
    """Make a probe of whatever kind, and write its test logits, tensors and record into `folder`.

    Raises
    ------
    UserError
        If the layer holds values that are not finite.
    """
    settings, test, layer = task.settings, task.test, task.layer
    for file in (task.train, test):
        check_finite(file.layer(layer), file.ids, file.model, f"{settings.of} on {file.split}")
    probe = KINDS[settings.kind].train(task)
    write_tensors(folder / WEIGHTS, probe, task.train.key(layer))
    logits = LogitsFile(
        of=settings.of,
        split=test.split,
        key=test.key(layer),
        classes=test.classes,
        ids=test.ids,
        labels=test.labels,
        logits=probe.logits(test.layer(layer)),
    )
    write_logits(folder / LOGITS, logits)
    record = msgspec.structs.replace(probe.record, weights_sha256=sha256_of_file(folder / WEIGHTS))
    gaps = tuple(f"probe {task.name}: {gap}" for gap in probe.gaps)
    save_record(ProbeResult(probes=(record,), gaps=gaps), folder / RECORD)


def write_tensors(path: Path | str, probe: Probe, key: dict[str, Any]) -> None:
    """Write a probe's tensors as safetensors, with what they belong to in the header."""
    about = {
        "classes": [each.class_name for each in probe.record.classes],
        "feature_key": key,
        "of": probe.record.of,
        **probe.about,
    }
    # one entry only: safetensors writes several in an order that differs from run to run
    metadata = {"pool5": json.dumps(about, sort_keys=True)}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(dict(probe.tensors), metadata))
