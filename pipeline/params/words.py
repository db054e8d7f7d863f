"""Which layers can be compared with texts."""

from __future__ import annotations

from .sections import Layer, Params, split_reference

_IMAGE = Layer(node="image")


def problem_with_words(params: Params, reference: str) -> str:
    """Why texts cannot be compared with a layer, as far as params.yaml tells; empty: they can.

    The text tower of an open_clip model gives vectors in the space of its node `image` alone. Of what can be
    done to them only a length of one is the same for texts: the other steps are fitted on images.
    """
    name, layer = split_reference(params.source(reference))
    model = params.models[name]
    if not model.architecture.startswith("open_clip/"):
        return f"{model.architecture} has no text tower; models of open_clip have one"
    if model.nodes[layer] == _IMAGE:
        steps = [step for derived in params.derived_by(reference) for step in params.derive[derived].steps]
        fitted = [step if isinstance(step, str) else next(iter(step)) for step in steps if step != "l2"]
        told = f"{reference} is derived by {', '.join(fitted)}, fitted on images; take {name}/{layer}"
        return told if fitted else ""
    there = [name for name, part in model.nodes.items() if part == _IMAGE]
    return f"layer {layer} is {model.nodes[layer]}, and texts lie in the space of node image alone; " + (
        f"take layer {there[0]}" if there else "give it a layer, as layers: {image: image}"
    )
