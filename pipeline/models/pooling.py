"""Pooling of a node's value to a vector an image, in float32."""

from __future__ import annotations

from typing import get_args

import torch

from ..params.sections import Pool
from ..store.layer_shape import LayerShape

GEM_POWER, GEM_LEAST = 3.0, 1e-6


def pooled(value: torch.Tensor, pool: Pool, shape: LayerShape | None) -> torch.Tensor:
    """(B, ...) to (B, D) float32.

    - `flatten`: all values, in their order
    - `cls`: the first token
    - `mean`, `max`: over the places of a map, or over the tokens without the prefix tokens
    - `gem`: generalised mean over the same, with p = 3 and values of at least 1e-6 (Radenović et al.,
      Fine-tuning CNN image retrieval with no human annotation, 2018)

    Parameters
    ----------
    shape : LayerShape
        Of the value for one image, which `problem_of` finds nothing in; None will do for `flatten`.
    """
    if pool == "flatten":
        return value.flatten(1).float()
    assert shape is not None
    if pool == "cls":
        return value[:, 0].float()
    places = _places(value, shape).float().contiguous()
    if pool == "mean":
        return places.mean(1)
    if pool == "max":
        return places.amax(1)
    return places.clamp(min=GEM_LEAST).pow(GEM_POWER).mean(1).pow(1 / GEM_POWER)


def _places(value: torch.Tensor, shape: LayerShape) -> torch.Tensor:
    """(B, places, C)."""
    if shape.axes == "C,H,W":
        return value.flatten(2).transpose(1, 2)
    if shape.axes == "H,W,C":
        return value.flatten(1, 2)
    return value[:, shape.prefix_tokens :]


def shape_of_row(pool: Pool, shape: LayerShape) -> LayerShape:
    """What a row of a layer is, from the shape of the node's value."""
    return shape if pool == "flatten" else LayerShape((shape.channels or 0,), "C", pooled_from=shape)


def possible_pools(shape: LayerShape, *, class_token: bool) -> list[Pool]:
    """The ways in which values of this shape can be pooled."""
    return [pool for pool in get_args(Pool) if not problem_of(pool, shape, class_token=class_token)]


def problem_of(pool: Pool, shape: LayerShape, *, class_token: bool) -> str:
    """Why values of this shape cannot be pooled so, as the end of a sentence about the node; "": they can.

    Parameters
    ----------
    class_token : bool
        Whether the network has one.
    """
    if pool == "flatten":
        return ""
    if len(shape.shape) == 1:
        return f"gives a vector of {shape.width}, in which there is nothing to pool; leave out pool"
    if not shape.axes:
        return (
            f"gives {shape}, and images of twice the size do not tell which axis is the channels'; "
            "only flatten is possible"
        )
    tokens = shape.axes == "tokens,C"
    if pool == "cls" and not (tokens and shape.prefix_tokens and class_token):
        return f"gives {shape}: no class token is in there; pool by mean, max or gem"
    if pool != "cls" and tokens and shape.prefix_tokens == shape.shape[0]:
        return f"gives {shape}: there is no token of a place in there; pool by cls"
    return ""
