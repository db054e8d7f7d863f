"""What the nodes of a network give: found out on shapes alone, by images of two sizes."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..errors import UserError
from ..store.layer_shape import LayerShape
from .graph import TracedNetwork
from .hooks import HookedNetwork

_CLASS_TOKENS = {"cls_token", "class_token", "class_embedding"}  # timm, torchvision, open_clip; transformers
_LISTS = nn.Sequential | nn.ModuleList | nn.ModuleDict
_MOST_LOST = 3  # pixels of a map that convolutions without padding cut off at its sides


@dataclasses.dataclass(frozen=True)
class NodeValue:
    """What a node gives.

    Attributes
    ----------
    problem : str
        "" for a row an image, else what it is in words.
    shape : LayerShape or None
        Of a row.
    """

    problem: str
    shape: LayerShape | None = None


@dataclasses.dataclass(frozen=True)
class Nodes:
    """The nodes of a network.

    Attributes
    ----------
    values : {name: NodeValue}
        In order of computation.
    main : tuple of str
        Those that give rows and are no inner parts of a block.
    traced : bool
        Whether there are nodes of operations, and not of modules alone.
    class_token : bool
        Whether the network has one.
    """

    values: Mapping[str, NodeValue]
    main: tuple[str, ...]
    traced: bool
    class_token: bool

    @property
    def rows(self) -> list[str]:
        """Those that give a row an image."""
        return [name for name, value in self.values.items() if not value.problem]


def nodes_in(network: nn.Module) -> TracedNetwork | HookedNetwork:
    """The nodes of a network: of its graph where torch.fx can trace it, else of its modules alone."""
    try:
        return TracedNetwork(network)
    except Exception:  # any that the network's own code raises when it meets no tensors
        return HookedNetwork(network)


def find_nodes(network: nn.Module, crop: int, larger: Callable[[], nn.Module] | None = None) -> Nodes:
    """What each node gives for images of `crop` pixels.

    A network has nodes that give no row an image: weights, sizes, tuples, and windows or tokens that stand
    before the image's axis. Batches of two and three images tell them apart.

    Axes that grow with the images are places, the one that does not is the channels'. Images of twice the
    size have four times the patches, so N and M tokens have (4 N - M) / 3 that stand for no place.

    Parameters
    ----------
    larger : callable, optional
        Gives the network for images of twice the size. Without it, or where it cannot, what the axes are is
        known only of tokens, and only where the network says how many stand for no place
        (`num_prefix_tokens`, as timm's do).

    Raises
    ------
    UserError
        If the network cannot take such images, or what it does depends on their values.
    """
    network = on_meta(network)
    nodes = nodes_in(network)
    with torch.inference_mode():
        try:
            two, three = (nodes.values(images_without_pixels(count, crop)) for count in (2, 3))
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            told = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"the network cannot take images of {crop} pixels, or decides by their values: {told}"
            ) from None
        doubled = _of_twice_the_size(larger, crop) if larger else {}
    values = {}
    for name, value in two.items():
        problem = _unless_rows(value, three.get(name))
        shape = None if problem else _shape(value, doubled.get(name), network)
        values[name] = NodeValue(problem, shape)
    rows = [name for name in values if not values[name].problem]
    class_token = any(name.rpartition(".")[2] in _CLASS_TOKENS for name, _ in network.named_parameters())
    return Nodes(values, _main(network, rows), isinstance(nodes, TracedNetwork), class_token)


def on_meta(network: nn.Module) -> nn.Module:
    """The network without its values: a copy that takes no memory."""
    tensors = [*network.parameters(), *network.buffers()]
    if not all(tensor.is_meta for tensor in tensors):
        network = copy.deepcopy(network, {id(tensor): _bare(tensor) for tensor in tensors})
    return network.eval()


def images_without_pixels(count: int, crop: int) -> torch.Tensor:
    """(count, 3, crop, crop) on the meta device."""
    return torch.empty(count, 3, crop, crop, device="meta")


def _bare(tensor: torch.Tensor) -> torch.Tensor:
    bare = tensor.detach().to("meta")
    return nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare


def _of_twice_the_size(larger: Callable[[], nn.Module], crop: int) -> Mapping[str, object]:
    try:
        return nodes_in(on_meta(larger())).values(images_without_pixels(2, 2 * crop))
    except (RuntimeError, AssertionError, ValueError, TypeError):
        return {}


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


def _shape(value: Any, doubled: Any, network: nn.Module) -> LayerShape:
    shape = tuple(value.shape[1:])
    other = tuple(doubled.shape[1:]) if isinstance(doubled, torch.Tensor) else ()
    if shape == other and len(shape) == 1:
        return LayerShape(shape, "C")
    if len(shape) == 3 == len(other):
        if shape[0] == other[0] and _are_places(shape[1:], other[1:]):
            return LayerShape(shape, "C,H,W")
        if shape[2] == other[2] and _are_places(shape[:2], other[:2]):
            return LayerShape(shape, "H,W,C")
    if len(shape) == 2 and shape[1:] == (other or shape)[1:]:
        apart = _prefix_tokens(shape[0], other[0] if other else None, network)
        if apart is not None:
            return LayerShape(shape, "tokens,C", apart)
    return LayerShape(shape)


def _are_places(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether two lengths are a map's height and width: they double, but for what is cut off at its sides."""
    doubles = (a < b <= max(2 * a + _MOST_LOST, 3 * a - 1) for a, b in zip(small, large, strict=True))
    return small == large == (1, 1) or all(doubles)


def _prefix_tokens(tokens: int, doubled: int | None, network: nn.Module) -> int | None:
    """How many of the tokens stand for no place; None: no telling."""
    told = getattr(network, "num_prefix_tokens", None)
    if doubled == tokens:
        return told if tokens == told else None
    if doubled is not None:
        apart, rest = divmod(4 * tokens - doubled, 3)
        if not rest and 0 <= apart < tokens < doubled:
            return apart
    return told if isinstance(told, int) and tokens > told else None


def _main(network: nn.Module, rows: Sequence[str]) -> tuple[str, ...]:
    """What the network itself calls, and members of its sequences that are made of other modules."""
    modules = dict(network.named_modules())
    lists = {path for path, module in modules.items() if isinstance(module, _LISTS)}
    parents = [name.split(".")[:-1] for name in rows]
    top = len([*itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*parents, strict=False))])

    def is_main(name: str) -> bool:
        parent = name.rpartition(".")[0]
        outer = parent.split(".") if parent else []
        if len(outer) <= top or (parent in lists and len(outer) == top + 1):
            return True
        return parent in lists and name in modules and any(modules[name].children())

    return tuple(name for name in rows if is_main(name))
