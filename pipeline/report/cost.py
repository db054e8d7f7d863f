"""What each model and probe of the AP tables costs: parameters and bytes, and the speeds measured here.

Parameters and bytes are the same wherever they are counted, and stand on the page. Speeds are this machine's:
they stand in a script beside the page, so that the page is the same whatever was measured.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ..models.weights_header import count_parameters
from ..params import Params, split_reference
from ..project import Project
from ..results.ap import ApResult
from ..store.extraction_cost import known_cost
from ..store.feature_file import FeatureFile
from ..store.open_layer import features_path, open_layer

BESIDE = "cost.js"  # the script's name, beside the page
_IMAGES = 1_000_000


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a row of the AP tables costs wherever it is computed.

    Attributes
    ----------
    name : str
        Of the model or probe.
    layer : str
        <model>/<layer>, or <derived>/<layer>, that its scores are made from.
    model : str
        Whose extraction gives that layer; several layers and probes share one.
    parameters : int or None
        Of the whole network; None where its weights are not there.
    gigabytes : float or None
        That the layer takes of a million images; None where its features are not there.
    """

    name: str
    layer: str
    model: str
    parameters: int | None
    gigabytes: float | None


def costs_of(ap: ApResult | None, params: Params, project: Project) -> tuple[Cost, ...]:
    """A cost for each model and probe of the AP tables, in their order; `UserError` for a damaged file."""
    known = params.models.keys() | params.probe.keys()
    return tuple(_cost(name, params, project) for name in (ap.models if ap else ()) if name in known)


def figure_data(ap: ApResult, costs: Iterable[Cost]) -> dict[str, Any]:
    """What the figure is drawn from, in the plain types of JSON: mAP with its interval by measure."""
    rows = []
    for cost in costs:
        means = [ap.row(None, cost.name, measure) for measure in ap.measures]
        rows.append(
            {
                "name": cost.name,
                "model": cost.model,
                "gigabytes": cost.gigabytes,
                "ap": {row.measure: [row.ap, row.lo, row.hi] for row in means},
            }
        )
    return {"rows": rows, "script": BESIDE}


def cost_script(costs: Iterable[Cost], features: Mapping[str, FeatureFile], project: Project) -> str:
    """The script beside the page: {model: what its extraction took on this machine}, of those that are known.

    Parameters
    ----------
    features : {model: its feature file of the test split}
    """
    measured = {}
    for model in dict.fromkeys(cost.model for cost in costs if cost.model in features):
        file = features[model]
        if found := known_cost(map(file.feature_key, file.layers), project):
            measured[model] = msgspec.to_builtins(found) | {"rate": found.rate}
    return f"globalThis.pool5Costs = {json.dumps(measured, indent=1, sort_keys=True)};\n"


def _cost(name: str, params: Params, project: Project) -> Cost:
    layer = params.probe[name].of if name in params.probe else f"{name}/logits"
    model, _ = split_reference(params.source(layer))
    gigabytes = None
    if features_path(split_reference(layer)[0], split := params.dataset.test, params, project).is_file():
        file, inner = open_layer(layer, split, params, project)
        rows = file.layer(inner)
        gigabytes = rows.shape[1] * rows.dtype.itemsize * _IMAGES / 1e9
    return Cost(name, layer, model, count_parameters(project.model(model)), gigabytes)
