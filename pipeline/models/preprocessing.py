"""What the images are given as, beside what the weights were trained with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..errors import UserError
from ..params import ORIGINS, Model, Preprocess
from .card import as_plain
from .sources import source_of

_log = logging.getLogger(__name__)


def settled(name: str, models: Mapping[str, Model], root: Path = Path()) -> Model:
    """`models.<name>` with its `preprocess` written out, where params.yaml says `auto`.

    That is what its weights were trained with: as their source has it, or the model that they come from. Of
    weights that are drawn, or in a file of the user's, it is what those are trained with that the source
    publishes under the same name.

    Raises
    ------
    UserError
        If nobody says; names the keys to write.
    """
    model = models[name]
    if isinstance(model.preprocess, Preprocess):
        return model
    if model.weights in models:
        preprocess = settled(model.weights, models, root).transform
    else:
        tag = model.weights if model.weights in ORIGINS and model.weights != "random" else "pretrained"
        source = source_of(model.architecture, root)
        found = source.preprocessing(model.architecture, tag)
        if found is None:
            raise UserError(
                f"models.{name}.preprocess: auto, but nobody says what {model.architecture} is trained on; "
                "give resize and crop, and mean and std where they are not ImageNet's"
            )
        preprocess = msgspec.convert(found, Preprocess)
    return msgspec.structs.replace(model, preprocess=preprocess)


def tell_if_other(
    name: str, preprocess: Preprocess, trained_with: Mapping[str, Any] | None, origin: str
) -> None:
    """Log one line where `models.<name>.preprocess` is not what the weights were trained with."""
    own = as_plain(preprocess)
    other = {key: value for key, value in (trained_with or {}).items() if own.get(key) != value}
    if other:
        _log.warning(
            "model %s: its weights (%s) were trained with %s; models.%s.preprocess has %s: "
            "the features are computed so, but are not those that the weights were made for",
            name,
            origin,
            _in_words(other),
            name,
            _in_words({key: own.get(key) for key in other}),
        )


def _in_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())
