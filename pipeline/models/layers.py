"""Layers by name: any node of a network's graph, as torchvision's feature extraction names them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torchvision
from torch import fx, nn
from torch.func import functional_call
from torchvision.models.feature_extraction import NodePathTracer, create_feature_extractor

from ..errors import UserError
from ..files.hints import did_you_mean
from ..params import Layer
from .card import ModelCard

# torchvision's own: each is one node
_LEAVES = [
    kind for kind in vars(torchvision.ops).values() if inspect.isclass(kind) and issubclass(kind, nn.Module)
]


class LayerExtractor(nn.Module):
    """Runs the part of a network that the named layers need.

    Called with (B, 3, H, W) images, gives {layer: (B, D) float32}; maps are flattened in C, H, W order,
    not pooled.
    """

    def __init__(self, network: nn.Module, layers: Mapping[Any, str | Layer]) -> None:
        super().__init__()
        self.layers = {name: _node(layer) for name, layer in layers.items()}
        # two layers may name one node
        self.graph = create_feature_extractor(network.eval(), {node: node for node in self.layers.values()})
        self.eval()

    def forward(self, images: torch.Tensor) -> dict[Any, torch.Tensor]:
        """(B, 3, H, W) to {layer: (B, D)}."""
        values = self.graph(images)
        return {layer: values[node].flatten(1).float() for layer, node in self.layers.items()}


def _node(layer: str | Layer) -> str:
    return layer if isinstance(layer, str) else layer.node


def nodes_of(network: nn.Module, crop: int) -> list[str]:
    """The nodes that give a row an image, in order of computation, in eval mode.

    A graph has others: weights, sizes, tuples, and windows or tokens that stand before the image's axis.
    Two batches of images of `crop` pixels tell them apart, on shapes alone.
    """
    return [node for node, what in _what_nodes_give(network, crop).items() if not what]


def end_node(nodes: Sequence[str], node: str) -> str | None:
    """The node of the graph that a name stands for: itself, or the last one inside; None: not there."""
    return next((n for n in reversed(nodes) if n == node or n.startswith(f"{node}.")), None)


def check_nodes(network: nn.Module, layers: Mapping[str, str | Layer], crop: int) -> None:
    """Refuse a layer whose node is not there, or gives anything but a row an image.

    Raises
    ------
    UserError
        Names the nodes that do.
    """
    what = _what_nodes_give(network, crop)
    nodes = [node for node in what if not what[node]]
    for layer, node in ((name, _node(layer)) for name, layer in layers.items()):
        end = end_node(list(what), node)
        if end is None:
            hint = did_you_mean(node, nodes)
            raise UserError(
                f"layers.{layer}: the network has no node {node}{hint}; it has {', '.join(nodes)}"
            )
        if what[end]:
            raise UserError(
                f"layers.{layer}: node {node} gives {what[end]}, not a row an image; "
                f"nodes that do: {', '.join(nodes)}"
            )


def _what_nodes_give(network: nn.Module, crop: int) -> dict[str, str]:
    """Of every node of the graph but its input: "" for a row an image, else what it is in words."""
    # as create_feature_extractor traces it, which takes minutes where it is asked for all nodes
    tracer = NodePathTracer(autowrap_modules=(math, torchvision.ops), leaf_modules=_LEAVES)
    graph = tracer.trace(network.eval())
    names = {name: node for node, name in tracer.node_to_qualname.items() if node.op != "placeholder"}
    next(node for node in graph.nodes if node.op == "output").args = (names,)
    module = fx.GraphModule(network, graph)
    weights = {name: value.to("meta") for name, value in module.state_dict().items()}
    two, three = (
        functional_call(module, weights, torch.empty(count, 3, crop, crop, device="meta")) for count in (2, 3)
    )
    return {name: _unless_rows(two[name], three[name]) for name in names}


def _unless_rows(two: object, three: object) -> str:
    """What the values of one node are, from batches of two and three images; "" if a row an image."""
    if not isinstance(two, torch.Tensor) or not isinstance(three, torch.Tensor):
        return f"a {type(two).__name__}"
    shape = tuple(two.shape)
    if shape == tuple(three.shape):
        return f"the same {shape} whatever the images are, as a weight does"
    if two.ndim < 2 or (2, *three.shape) != (shape[0], 3, *shape[1:]):
        return f"{shape} for two images"
    return ""


def check_layers(
    card: ModelCard, architecture: str, layers: Mapping[str, str | Layer], network: nn.Module
) -> None:
    """Refuse layers that the model in a folder cannot give.

    Parameters
    ----------
    card : ModelCard
        Of the folder.
    architecture : str
        What params.yaml asks for.
    layers : {layer: node}
    network : nn.Module
        The folder's.

    Raises
    ------
    UserError
        If the card is of another architecture, a node is not there, or a layer is computed from weights
        that the checkpoint does not have.
    """
    if card.architecture != architecture:
        raise UserError(
            f"architecture {architecture}: the stored model is a {card.architecture}", rerun="model"
        )
    check_nodes(network, layers, card.crop)
    if not card.missing:
        return
    missing = set(card.missing)
    for layer, node in ((name, _node(layer)) for name, layer in layers.items()):
        if lacking := [name for name in _weights_behind(network, node) if name in missing]:
            nodes = nodes_of(network, card.crop)
            given = [n for n in nodes if not missing & set(_weights_behind(network, n))]
            raise UserError(
                f"layers.{layer}: node {node} of {architecture} needs {lacking[0]}, which the checkpoint "
                f"does not have ({card.origin}); nodes that it gives: {', '.join(given)}"
            )


def _weights_behind(network: nn.Module, node: str) -> list[str]:
    """State-dict names that a node's value is computed from."""
    extractor: fx.GraphModule = create_feature_extractor(network, {node: node})
    return list(extractor.state_dict())
