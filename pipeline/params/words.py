"""Which layers can be compared with texts."""

from __future__ import annotations

from .sections import Layer, Model

_IMAGE = Layer(node="image")


def problem_with_words(model: Model, layer: str) -> str:
    """Why texts cannot be compared with a layer of a model, as far as params.yaml tells; empty: they can.

    The text tower of an open_clip model gives vectors in the space of its node `image` alone.
    """
    if not model.architecture.startswith("open_clip/"):
        return f"{model.architecture} has no text tower; models of open_clip have one"
    if model.nodes[layer] == _IMAGE:
        return ""
    there = [name for name, part in model.nodes.items() if part == _IMAGE]
    return f"layer {layer} is {model.nodes[layer]}, and texts lie in the space of node image alone; " + (
        f"take layer {there[0]}" if there else "give it a layer, as layers: {image: image}"
    )
