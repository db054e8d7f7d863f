"""What a probe says about the training images, each told by one that has not learned from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..errors import UserError
from ..files.digests import sha256_of_file
from ..search.vectors import check_finite
from ..store.logits_file import LogitsFile, write_logits
from .kind import KeptProbe, ProbeTask
from .kinds import KINDS

HELD_OUT = "held_out.h5"


def held_out_decided_by(task: ProbeTask, weights: Path) -> dict[str, Any]:
    """All that decides the file of `write_held_out`, as plain JSON values."""
    train, settings = task.train, task.settings
    return {
        "probe": sha256_of_file(weights),
        "kind": [settings.kind, settings.folds, settings.seed],
        "train": [train.split, train.classes, train.layer_digest(task.layer), train.ids_digest],
        "labels": train.labels_digest,
    }


def write_held_out(task: ProbeTask, weights: Path, folder: Path) -> None:
    """Write the held-out logits of the training split into `folder`, as a logits file.

    Parameters
    ----------
    task : ProbeTask
    weights : path
        What the stage `probe` kept of it.
    folder : path

    Raises
    ------
    UserError
        If that is of another layer or other classes, or the layer holds values that are not finite.
    """
    train, layer = task.train, task.layer
    check_finite(train.layer(layer), train.ids, train.model, f"{task.settings.of} on {train.split}")
    logits = KINDS[task.settings.kind].held_out(task, read_kept(task, weights))
    content = LogitsFile(
        of=task.settings.of,
        split=train.split,
        key=train.key(layer),
        classes=train.classes,
        ids=train.ids,
        labels=train.labels,
        logits=logits,
    )
    write_logits(folder / HELD_OUT, content)


def read_kept(task: ProbeTask, path: Path) -> KeptProbe:
    """Read what `write_tensors` wrote; `UserError` where it is missing, damaged or of another layer."""
    try:
        with safe_open(path, "np") as file:
            about = json.loads(file.metadata()["pool5"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except FileNotFoundError:
        raise UserError(f"{path}: no such weights of a probe", rerun="probe") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not the weights of a probe ({error})", rerun="probe", force=True) from None
    belongs = (task.settings.of, list(task.train.classes), task.train.key(task.layer))
    if (about.get("of"), about.get("classes"), about.get("feature_key")) != belongs:
        raise UserError(f"{path}: made from other features than {task.train.path} holds", rerun="probe")
    return KeptProbe(tensors, about)
