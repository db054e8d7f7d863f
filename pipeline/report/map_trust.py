"""How far a map may be trusted, as the page shows it beside the map."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Purity:
    """The share of a class's nearest neighbors that show the class: on the map, in the layer, by chance."""

    name: str
    on_map: float
    in_layer: float
    chance: float


@dataclasses.dataclass(frozen=True)
class MapTrust:
    """The measures of a t-SNE stage.

    Attributes
    ----------
    measures : tuple of (name, value, explanation)
    purity : tuple of Purity
        Of the classes that have one.
    """

    measures: tuple[tuple[str, float, str], ...]
    purity: tuple[Purity, ...]


def read_trust(path: Path) -> MapTrust | None:
    """Read reports/metrics/tsne/<model>/<layer>.json; None where it is not there."""
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    k = found["neighbors"]
    explained = {
        "trustworthiness": (
            "trustworthiness",
            f"1 if no image of the {k} nearest on the map is far in the layer",
        ),
        "knn_preservation": ("neighbors kept", f"share of the {k} nearest in the layer that the map keeps"),
        "stability": ("stability", f"share of the {k} nearest on the map that other seeds' maps have too"),
        "kl": ("KL divergence", "what t-SNE minimises; comparable between maps of one layer only"),
    }
    return MapTrust(
        tuple((name, found[key], text) for key, (name, text) in explained.items() if key in found),
        tuple(
            Purity(name, on_map, found["purity_in_layer"][name], found["chance"][name])
            for name, on_map in found["purity"].items()
        ),
    )
