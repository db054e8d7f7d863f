"""What there is to ask, in the plain types of JSON."""

from __future__ import annotations

import importlib.util
from typing import Any

from ..params import problem_with_words
from ..questions.open_store import OpenStore
from ..results.record import record_names
from .limits import Limits
from .maps import Maps


def described(store: OpenStore, maps: Maps, limits: Limits, trouble: str = "") -> dict[str, Any]:
    """A store: what it is, its layers, splits and classes, and what is missing of it.

    `trouble` is why the answers come from an earlier state than the one on the disk; '' where they do not.
    """
    from ..figures.palette import class_colours, hex_colours

    classes = next(iter(store.features.values())).classes
    images = {split: len(file) for (_, split), file in reversed(store.features.items())}
    return {
        "name": store.params.dataset.name,
        "state": store.state,
        "metric": store.params.index.metric,
        "splits": [{"name": split, "images": images[split]} for split in store.splits],
        "split": store.splits[0],
        "classes": list(classes),
        "class_colours": hex_colours(class_colours(classes)),
        "layers": [_layer(store, layer, maps) for layer in store.layers],
        "results": record_names(store.project.results),
        "gaps": [*store.gaps, *([f"not the newest state: {trouble}"] if trouble else [])],
        "limits": {
            "k": limits.k,
            "body_bytes": limits.body_bytes,
            "pixels": limits.pixels,
            "ids": limits.ids,
        },
    }


def _layer(store: OpenStore, reference: str, maps: Maps) -> dict[str, Any]:
    file, own = store.file(reference, store.layers[reference][0])
    source = store.params.source(reference)
    vectors = importlib.util.find_spec("torch") is not None
    return {
        "layer": reference,
        "model": file.model,
        "name": own,
        "splits": list(store.layers[reference]),
        "width": file.layer(own).shape[1],
        "dtype": str(file.layer(own).dtype),
        "words": vectors and not problem_with_words(store.params, reference),
        "images": vectors,
        "derived_of": None if source == reference else source,
        "key": file.key(own),
        "digest": file.layer_digest(own),
        "maps": [
            {"method": each.method, "title": each.title, "images": len(each.ids)}
            for each in maps.of_layer(store, reference)
        ],
        "graph": store.project.neighbors(reference).is_file(),
    }
