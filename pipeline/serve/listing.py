"""The images of a split: to look through a class, and to complete an id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import NotThere
from ..files.hints import did_you_mean
from ..questions.open_store import OpenStore
from ..store.feature_file import FeatureFile


def list_images(
    store: OpenStore,
    split: str | None = None,
    classes: Sequence[str] = (),
    prefix: str = "",
    limit: int = 100,
    offset: int = 0,
) -> dict[str, Any]:
    """The images that show at least one of the classes, and whose ids begin so; in the split's order.

    Raises
    ------
    NotThere
        If there is no such split or class.
    """
    file = file_of(store, split)
    there = np.ones(len(file), bool)
    if classes:
        columns = [_class(file, name) for name in classes]
        there &= (file.labels[:, columns] == 1).any(axis=1)
    if prefix:
        there &= np.char.startswith(file.ids, prefix)
    rows = np.flatnonzero(there)
    return {
        "state": store.state,
        "split": file.split,
        "total": len(rows),
        "images": [
            {"id": str(file.ids[row]), "labels": list(file.labels_of(int(row)))}
            for row in rows[offset : offset + limit]
        ],
    }


def file_of(store: OpenStore, split: str | None) -> FeatureFile:
    """The first feature file of a split, that of `dataset.test` by default; `NotThere` if there is none."""
    wanted = split or store.splits[0]
    for (_, own), file in store.features.items():
        if own == wanted:
            return file
    raise NotThere(f"no split {split}; there are {', '.join(store.splits)}")


def _class(file: FeatureFile, name: str) -> int:
    if name not in file.classes:
        hint = did_you_mean(name, file.classes)
        raise NotThere(f"no class {name}{hint}; there are {', '.join(file.classes) or 'none'}")
    return file.classes.index(name)
