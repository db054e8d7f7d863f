"""`GET /api/store`: what there is to ask."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from ..questions.open_store import OpenStore
from .service import Shared, Store

router = APIRouter()


@router.get("/api/store")
def store(store: Store, service: Shared) -> dict[str, Any]:
    """What there is to ask: layers, splits, classes, results, and what is missing."""
    return described(store) | {
        "limits": {
            "k": service.limits.k,
            "body_bytes": service.limits.body_bytes,
            "pixels": service.limits.pixels,
            "ids": service.limits.ids,
        }
    }


def described(store: OpenStore) -> dict[str, Any]:
    """A store in the plain types of JSON."""
    from ..figures.palette import class_colours, hex_colours

    first = next(iter(store.features.values()))
    images = {split: len(file) for (_, split), file in reversed(store.features.items())}
    return {
        "name": store.params.dataset.name,
        "state": store.state,
        "metric": store.params.index.metric,
        "splits": [{"name": split, "images": images[split]} for split in store.splits],
        "split": store.splits[0],
        "classes": list(first.classes),
        "class_colours": hex_colours(class_colours(first.classes)),
        "layers": [_layer(store, layer) for layer in store.layers],
        "results": _results(store),
        "gaps": list(store.gaps),
    }


def _layer(store: OpenStore, reference: str) -> dict[str, Any]:
    from ..params import problem_with_words

    file, own = store.file(reference, store.layers[reference][0])
    source = store.params.source(reference)
    return {
        "layer": reference,
        "model": file.model,
        "name": own,
        "splits": list(store.layers[reference]),
        "width": file.layer(own).shape[1],
        "dtype": str(file.layer(own).dtype),
        "words": not problem_with_words(store.params, reference),
        "images": True,
        "derived_of": None if source == reference else source,
        "key": file.key(own),
        "digest": file.layer_digest(own),
        "maps": [],
        "graph": store.project.neighbors(reference).is_file(),
    }


def _results(store: OpenStore) -> list[str]:
    folder = store.project.results
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.json"))
