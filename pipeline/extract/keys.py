"""The feature keys that params.yaml asks for. Knows no torch: a run with nothing new builds no network."""

from __future__ import annotations

from pathlib import Path

from ..models.card import read_card
from ..params import Params, Preprocess
from ..project import Project
from ..store.feature_key import FeatureKey

# The number of `extract` in recipes.yaml, as a part of the key. Raise both with every change that changes
# values: decoding, resizing, normalising, folding, padding. tests/extract/test_forward.py says when.
RECIPE_VERSION = 2


def feature_keys(
    params: Params,
    model: str,
    models_root: Path | str = Project().models,  # noqa: B008 - immutable
) -> dict[str, FeatureKey]:
    """The key of every layer of a model: {layer: FeatureKey}.

    Raises
    ------
    UserError
        If the model has not been made yet.
    """
    spec = params.model(model)
    card = read_card(Path(models_root) / model)
    return {
        layer: FeatureKey(
            architecture=card.architecture,
            weights_sha256=card.weights_sha256,
            node=node,
            preprocessing=_preprocessing(spec.preprocess) | card.options,
            precision=params.extract.precision,
            dtype=params.extract.dtype,
            recipe_version=RECIPE_VERSION,
        )
        for layer, node in spec.layers.items()
    }


def _preprocessing(preprocess: Preprocess) -> dict[str, object]:
    return {
        "crop": preprocess.crop,
        "interpolation": preprocess.interpolation,
        "mean": [float(value) for value in preprocess.mean],
        "resize": preprocess.resize,
        "std": [float(value) for value in preprocess.std],
    }
