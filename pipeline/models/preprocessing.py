"""What the images are given as, beside what the weights were trained with."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ..params import Preprocess
from .card import as_plain

_log = logging.getLogger(__name__)


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
