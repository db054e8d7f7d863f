"""Layers: nodes of a network, pooled; what they give, and which a stored model cannot give."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import nn

from ..errors import UserError
from ..files.hints import did_you_mean
from ..params import Layer
from ..store.layer_shape import LayerShape
from .card import ModelCard
from .network import Options, on_shapes_alone
from .node_values import Nodes, find_nodes, images_without_pixels, nodes_in, on_meta
from .pooling import pooled, problem_of, shape_of_row


class LayerExtractor(nn.Module):
    """Runs the part of a network that layers need: (B, 3, H, W) images to {layer: (B, D) float32}.

    Parameters
    ----------
    cut : nn.Module
        Gives {node: value}.
    layers : iterable of Layer
    shapes : {Layer: LayerShape}
        Of those that are pooled at least.
    """

    def __init__(
        self, cut: nn.Module, layers: Iterable[Layer], shapes: Mapping[Layer, LayerShape] | None = None
    ) -> None:
        super().__init__()
        self.cut, self.layers = cut, tuple(layers)
        self._shapes = {layer: shape.pooled_from for layer, shape in (shapes or {}).items()}

    @classmethod
    def of(
        cls, network: nn.Module, layers: Iterable[Layer], shapes: Mapping[Layer, LayerShape] | None = None
    ) -> LayerExtractor:
        """Of a network as it is."""
        layers = tuple(layers)
        return cls(nodes_in(network).cut({layer.node: None for layer in layers}), layers, shapes)

    def forward(self, images: torch.Tensor) -> dict[Layer, torch.Tensor]:
        """(B, 3, H, W) to {layer: (B, D)}."""
        values = self.cut(images)
        return {
            layer: pooled(values[layer.node], layer.pool, self._shapes.get(layer)) for layer in self.layers
        }


def nodes_of(architecture: str, outputs: int, crop: int, options: Options | None, root: Path) -> Nodes:
    """What the nodes of an architecture give, on shapes alone; found once a process.

    Parameters
    ----------
    outputs : int
        Width of the last layer.
    options : mapping, optional
        As `models.network.options_of`; by default those of drawn weights.
    root : Path
        The project's folder.
    """
    return _nodes_of(architecture, outputs, crop, json.dumps(options, sort_keys=True), root)


@functools.cache
def _nodes_of(architecture: str, outputs: int, crop: int, options: str, root: Path) -> Nodes:
    def built(side: int) -> nn.Module:
        return on_shapes_alone(architecture, outputs, side, json.loads(options), root)

    return find_nodes(built(crop), crop, lambda: built(2 * crop))


def shapes_of(nodes: Nodes, layers: Iterable[Layer]) -> dict[Layer, LayerShape]:
    """What a row of each layer is; of layers that `check_nodes` finds sound."""
    return {
        layer: shape_of_row(layer.pool, shape)
        for layer in layers
        if (shape := nodes.values[layer.node].shape)
    }


def stored_shapes(card: ModelCard, crop: int, layers: Iterable[Layer], root: Path) -> dict[Layer, LayerShape]:
    """What the rows of a stored model's layers are, for images of `crop` pixels."""
    return shapes_of(nodes_of(card.architecture, card.outputs, crop, card.options, root), layers)


def check_nodes(nodes: Nodes, layers: Mapping[str, Layer]) -> None:
    """Refuse a layer whose node is not there, gives anything but a row an image, or cannot be pooled so.

    Raises
    ------
    UserError
        Names nodes that do.
    """
    there = ", ".join(nodes.main)
    for name, layer in layers.items():
        value = nodes.values.get(layer.node)
        if value is None:
            hint = did_you_mean(layer.node, nodes.rows)
            modules = "" if nodes.traced else " (of its modules alone, as it cannot be traced)"
            raise UserError(
                f"layers.{name}: the network has no node {layer.node}{hint}; it has{modules} {there}"
            )
        if value.shape is None:
            raise UserError(
                f"layers.{name}: node {layer.node} gives {value.problem}, not a row an image; "
                f"nodes that do: {there}"
            )
        if problem := problem_of(layer.pool, value.shape, class_token=nodes.class_token):
            raise UserError(f"layers.{name}: pool {layer.pool}: node {layer.node} {problem}")


def check_layers(card: ModelCard, architecture: str, layers: Mapping[str, Layer], root: Path) -> None:
    """Refuse layers that a stored model cannot give.

    Parameters
    ----------
    card : ModelCard
        The model's.
    architecture : str
        What params.yaml asks for.
    layers : {name: Layer}
    root : Path
        The project's folder.

    Raises
    ------
    UserError
        If the card is of another architecture, a layer is none, or is computed from weights that the
        checkpoint does not have.
    """
    if card.architecture != architecture:
        raise UserError(
            f"architecture {architecture}: the stored model is a {card.architecture}", rerun="model"
        )
    nodes = nodes_of(architecture, card.outputs, card.crop, card.options, root)
    check_nodes(nodes, layers)
    if card.missing:
        _check_weights(card, layers, nodes, root)


def _check_weights(card: ModelCard, layers: Mapping[str, Layer], nodes: Nodes, root: Path) -> None:
    network = on_meta(on_shapes_alone(card.architecture, card.outputs, card.crop, card.options, root))
    found, images = nodes_in(network), images_without_pixels(1, card.crop)
    missing = set(card.missing)
    for name, layer in layers.items():
        lacking = [weight for weight in found.weights_behind(layer.node, images) if weight in missing]
        if lacking:
            given = [n for n in nodes.main if not missing & set(found.weights_behind(n, images))]
            raise UserError(
                f"layers.{name}: node {layer.node} of {card.architecture} needs {lacking[0]}, which the "
                f"checkpoint does not have ({card.origin}); nodes that it gives: {', '.join(given)}"
            )
