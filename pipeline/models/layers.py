"""Layers by name: any node of a network's graph, as torchvision's feature extraction names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import fx, nn
from torch.func import functional_call
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from ..errors import UserError
from ..files.hints import did_you_mean
from .card import ModelCard
from .network import on_shapes_alone


class LayerExtractor(nn.Module):
    """Runs the part of a network that the named layers need.

    Called with (B, 3, H, W) images, gives {layer: (B, D) float32}; maps are flattened in C, H, W order,
    not pooled.
    """

    def __init__(self, network: nn.Module, layers: Mapping[str, str]) -> None:
        super().__init__()
        self.layers = dict(layers)
        # two layers may name one node
        self.graph = create_feature_extractor(network.eval(), {node: node for node in layers.values()})
        self.eval()

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """(B, 3, H, W) to {layer: (B, D)}."""
        values = self.graph(images)
        return {layer: values[node].flatten(1).float() for layer, node in self.layers.items()}


def nodes_of(network: nn.Module, crop: int) -> list[str]:
    """The nodes that give a row an image, in order of computation, in eval mode.

    A graph has others: weights, sizes, tuples, and windows or tokens that stand before the image's axis.
    Two batches of images of `crop` pixels tell them apart, on shapes alone.
    """
    names: list[str] = get_graph_node_names(network.eval())[1][1:]
    return [node for node, what in _what_nodes_give(network, names, crop).items() if not what]


def end_node(nodes: Sequence[str], node: str) -> str | None:
    """The node of the graph that a name stands for: itself, or the last one inside; None: not there."""
    return next((n for n in reversed(nodes) if n == node or n.startswith(f"{node}.")), None)


def check_nodes(network: nn.Module, layers: Mapping[str, str], crop: int) -> None:
    """Refuse a layer whose node is not there, or gives anything but a row an image.

    Raises
    ------
    UserError
        Names the nodes that do.
    """
    names: list[str] = get_graph_node_names(network.eval())[1][1:]
    ends = {layer: end_node(names, node) for layer, node in layers.items()}
    what = _what_nodes_give(network, [end for end in ends.values() if end], crop)
    for layer, node in layers.items():
        end = ends[layer]
        if end and not what[end]:
            continue
        nodes = nodes_of(network, crop)
        if end is None:
            hint = did_you_mean(node, nodes)
            raise UserError(
                f"layers.{layer}: the network has no node {node}{hint}; it has {', '.join(nodes)}"
            )
        raise UserError(
            f"layers.{layer}: node {node} gives {what[end]}, not a row an image; "
            f"nodes that do: {', '.join(nodes)}"
        )


def _what_nodes_give(network: nn.Module, names: Sequence[str], crop: int) -> dict[str, str]:
    """Of nodes of the graph: "" for a row an image, else what it is in words."""
    if not names:
        return {}
    graph = create_feature_extractor(network, {name: name for name in names})
    weights = {name: value.to("meta") for name, value in graph.state_dict().items()}
    two, three = (
        functional_call(graph, weights, torch.empty(count, 3, crop, crop, device="meta")) for count in (2, 3)
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
    card: ModelCard, architecture: str, layers: Mapping[str, str], network: nn.Module | None = None
) -> None:
    """Refuse layers that the model in a folder cannot give.

    Parameters
    ----------
    card : ModelCard
        Of the folder.
    architecture : str
        What params.yaml asks for.
    layers : {layer: node}
    network : nn.Module, optional
        The folder's network, if it is at hand.

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
    if network is None:
        network = on_shapes_alone(architecture, card.outputs, card.crop)
    check_nodes(network, layers, card.crop)
    if not card.missing:
        return
    missing = set(card.missing)
    for layer, node in layers.items():
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
