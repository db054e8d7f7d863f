"""Layers by name: any node of a network's graph, as torchvision's feature extraction names them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import fx, nn
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


def nodes_of(network: nn.Module) -> list[str]:
    """The nodes of the network's graph in eval mode, in order of computation, without its input."""
    nodes: list[str] = get_graph_node_names(network)[1]
    return nodes[1:]


def check_nodes(network: nn.Module, layers: Mapping[str, str]) -> dict[str, str]:
    """The node of the graph that each layer's node stands for; `UserError` for one that is not there."""
    nodes = nodes_of(network)
    found = {}
    for layer, node in layers.items():
        inside = [name for name in nodes if name == node or name.startswith(f"{node}.")]
        if not inside:
            hint = did_you_mean(node, nodes)
            raise UserError(
                f"layers.{layer}: the network has no node {node}{hint}; it has {', '.join(nodes)}"
            )
        found[layer] = inside[-1]
    return found


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
    check_nodes(network, layers)
    if not card.missing:
        return
    for layer, node in layers.items():
        if lacking := [name for name in _weights_behind(network, node) if name in card.missing]:
            given = [n for n in nodes_of(network) if not set(card.missing) & set(_weights_behind(network, n))]
            raise UserError(
                f"layers.{layer}: node {node} of {architecture} needs {lacking[0]}, which the checkpoint "
                f"does not have ({card.origin}); nodes that it gives: {', '.join(given)}"
            )


def _weights_behind(network: nn.Module, node: str) -> list[str]:
    """State-dict names that a node's value is computed from."""
    extractor: fx.GraphModule = create_feature_extractor(network, {node: node})
    return list(extractor.state_dict())
