"""The feature keys that params.yaml asks for. Knows no torch: a run with nothing new builds no network."""

from __future__ import annotations

from pathlib import Path

from ..images.transform import is_by_part
from ..models.card import read_card, settled_by
from ..params import Params, Preprocess
from ..project import Project
from ..store.feature_key import FeatureKey

# Of the values alone: raise it with every change that changes them (decoding, resizing, normalising, folding,
# padding), which tests/extract/test_forward.py tells, and `extract` in recipes.yaml with it. That number goes
# up alone where only the feature file changes: its rows stay valid, and nothing is computed again.
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
    card = read_card(Path(models_root) / model)
    spec = settled_by(card, params.model(model))
    pixels, network = _preprocessing(spec.transform, params.extract.decoder), dict(card.options)
    if "transform_input" in network:  # where keys have always had it
        pixels["transform_input"] = network.pop("transform_input")
    return {
        layer: FeatureKey(
            architecture=card.architecture,
            weights_sha256=card.weights_sha256,
            node=part.node,
            pool=part.pool,
            preprocessing=pixels,
            network=network,
            precision=params.extract.precision,
            dtype=params.extract.dtype,
            recipe_version=RECIPE_VERSION,
        )
        for layer, part in spec.nodes.items()
    }


def _preprocessing(preprocess: Preprocess, decoder: str) -> dict[str, object]:
    """What decides the pixels; what came later stands there only where it makes other ones than before."""
    return {
        "crop": preprocess.crop,
        "interpolation": preprocess.interpolation,
        "mean": [float(value) for value in preprocess.mean],
        "resize": preprocess.resize,
        "std": [float(value) for value in preprocess.std],
        **({} if is_by_part(preprocess) else {"mode": preprocess.mode}),
        **({"fill": list(preprocess.fill)} if preprocess.mode == "pad" else {}),
        **({} if decoder == "pillow" else {"decoder": decoder}),
    }
