"""A network made ready for inference: batch norms folded into convolutions, activations fused."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import fx, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..models.graph import TracedNetwork
from ..models.hooks import HookedNetwork
from ..models.layers import LayerExtractor
from ..models.node_values import nodes_in
from ..params import Layer
from ..store.layer_shape import LayerShape


def prepare(
    network: nn.Module,
    layers: Sequence[Layer],
    *,
    fuse: bool,
    shapes: Mapping[Layer, LayerShape] | None = None,
) -> list[LayerExtractor]:
    """The modules that together give the layers, each computed as it would be if asked for alone.

    Batch normalisation is folded into the convolution before it, in a network that torch.fx can trace; in
    others it stays what it is. Where a node is such a convolution itself, its value before the normalisation
    comes from a module of its own, so that the bits of the other nodes do not depend on which nodes are asked
    for beside them. So does the value of a node in the midst of what is fused.

    Parameters
    ----------
    network : nn.Module
        On its device; what is prepared shares its weights.
    layers : sequence of Layer
    fuse : bool
        Compute a convolution, the addition and the ReLU after it in one pass over memory, with the same
        values: for float32 on CPUs, whose caches do not hold an activation.
    shapes : {Layer: LayerShape}, optional
        Of layers that are pooled.
    """
    nodes = nodes_in(network)
    bare = [layer for layer in layers if _would_be_folded(nodes, layer.node)]
    modules = []
    for some in filter(None, ([layer for layer in layers if layer not in bare], bare)):
        cut = functools.partial(_cut, nodes, fold=some is not bare, fuse=fuse)
        for names, module in _as_alone([*dict.fromkeys(layer.node for layer in some)], cut):
            group = [layer for layer in some if layer.node in names]
            modules.append(LayerExtractor(module, group, shapes).eval())
    return modules


def _cut(nodes: TracedNetwork | HookedNetwork, names: Sequence[str], *, fold: bool, fuse: bool) -> nn.Module:
    cut = nodes.cut(names)
    if isinstance(cut, fx.GraphModule):
        _open_sequences(cut)
        if fold:
            _fold_batch_norms(cut)
    _lay_channels_last(cut)
    if isinstance(cut, fx.GraphModule) and fuse and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        _fuse_with_convolutions(cut)
    return cut


def _as_alone(
    names: list[str], cut: Callable[[list[str]], nn.Module], alone: Mapping[str, int] | None = None
) -> Iterator[tuple[list[str], nn.Module]]:
    """Nodes and the module that gives them: together if each takes the steps then that it takes alone.

    What is asked for inside of what would be fused keeps it from being fused, which moves the last bits of
    all that comes after it.
    """
    module = cut(names)
    if len(names) == 1 or not isinstance(module, fx.GraphModule):
        yield names, module
        return
    alone = alone or {name: _steps(cut([name]))[name] for name in names}
    steps = _steps(module)
    same = [name for name in names if steps[name] == alone[name]]
    if len(same) == len(names):
        yield names, module
        return
    same = same or names[:1]
    yield from _as_alone(same, cut, alone)
    yield from _as_alone([name for name in names if name not in same], cut, alone)


def _steps(graph: nn.Module) -> dict[str, int]:
    """{name: hash of all that is computed for the node, and of how}."""
    assert isinstance(graph, fx.GraphModule)
    steps: dict[fx.Node, Any] = {}
    for node in graph.graph.nodes:
        inputs = fx.map_arg((node.args, node.kwargs), steps.__getitem__)
        if node.op == "output":
            return dict(inputs[0][0])
        module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
        how = (type(module), getattr(module, "activation", None))
        steps[node] = hash(str((node.op, node.target, how, inputs)))
    return {}


def _lay_channels_last(module: nn.Module) -> None:
    for value in (*module.parameters(), *module.buffers()):
        if value.ndim == 4:  # `Module.to` wants it of five axes as well, and fails
            value.data = value.data.contiguous(memory_format=torch.channels_last)


def _would_be_folded(nodes: TracedNetwork | HookedNetwork, node: str) -> bool:
    """Whether a node is a convolution that a batch normalisation follows in the network."""
    if isinstance(nodes, HookedNetwork) or type(nodes.module_of(node)) is not nn.Conv2d:
        return False
    return any(type(module) is nn.BatchNorm2d for module in nodes.modules_after(node))


def _is_a(graph: fx.GraphModule, node: fx.Node, kind: type[nn.Module]) -> bool:
    """Whether a node calls a module of this very class: what is made of it may compute something else."""
    return node.op == "call_module" and type(graph.get_submodule(str(node.target))) is kind


def _open_sequences(graph: fx.GraphModule) -> None:
    """Give the members of torchvision's own blocks, traced as one node each, nodes of their own."""
    waiting = list(graph.graph.nodes)
    while waiting:
        node = waiting.pop()
        if node.op != "call_module":
            continue
        module = graph.get_submodule(str(node.target))
        if not isinstance(module, nn.Sequential) or type(module).forward is not nn.Sequential.forward:
            continue
        # another with the same members: the network's own stays as it is when they are replaced
        graph.set_submodule(str(node.target), nn.Sequential(*module))
        value = node.args[0]
        with graph.graph.inserting_before(node):
            for number in range(len(module)):
                value = graph.graph.call_module(f"{node.target}.{number}", (value,))
                waiting.append(value)
        node.replace_all_uses_with(value)
        graph.graph.erase_node(node)


def _fold_batch_norms(graph: fx.GraphModule) -> None:
    for node in list(graph.graph.nodes):
        if not _is_a(graph, node, nn.BatchNorm2d):
            continue
        if before := _convolution_of_its_own(graph, node.all_input_nodes[0]):
            convolution, norm = (graph.get_submodule(str(n.target)) for n in (before, node))
            folded = fuse_conv_bn_eval(convolution, norm)  # type: ignore[type-var, arg-type]
            _replace(graph, node, before, folded)
    graph.recompile()


def _convolution_of_its_own(graph: fx.GraphModule, value: fx.Node) -> fx.Node | None:
    """`value`, if it is a convolution's that is run once and used once."""
    if len(value.users) != 1 or value.op != "call_module":
        return None
    module = graph.get_submodule(str(value.target))
    plain = type(module) is nn.Conv2d and module.padding_mode == "zeros" and module.padding != "same"
    runs = sum(other.target == value.target for other in graph.graph.nodes)
    return value if runs == 1 and (plain or isinstance(module, _FusedConvolution)) else None


def _replace(graph: fx.GraphModule, node: fx.Node, before: fx.Node, module: nn.Module) -> None:
    """Let `module`, in the place of `before`, do the work of `node` as well."""
    graph.set_submodule(str(before.target), module)
    node.replace_all_uses_with(before)
    graph.graph.erase_node(node)


def _fuse_with_convolutions(graph: fx.GraphModule) -> None:
    """Let a convolution do the addition (of a residual block) and the activation that come after it."""
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target in (operator.add, operator.iadd):
            _fuse_addition(graph, node)
    for node in list(graph.graph.nodes):
        activation = _activation(graph, node)
        if activation and (before := _convolution_of_its_own(graph, node.all_input_nodes[0])):
            module = graph.get_submodule(str(before.target))
            fused = module if isinstance(module, _FusedConvolution) else _FusedConvolution(module)  # type: ignore[arg-type]
            if fused.activation[0] == "none":
                fused.activation = activation
                _replace(graph, node, before, fused)
    graph.recompile()


def _fuse_addition(graph: fx.GraphModule, addition: fx.Node) -> None:
    terms = addition.all_input_nodes
    for term, other in (terms, terms[::-1]) if len(terms) == 2 else ():
        before = _convolution_of_its_own(graph, term)
        if before and not _is_a(graph, before, nn.Conv2d):
            continue  # it does an addition already
        # the convolution moves down to the addition: what it reads must be there for it alone
        if before and len(before.all_input_nodes[0].users) == 1:
            convolution = graph.get_submodule(str(before.target))
            graph.set_submodule(str(before.target), _FusedConvolution(convolution))  # type: ignore[arg-type]
            with graph.graph.inserting_before(addition):
                total = graph.graph.call_module(str(before.target), (before.all_input_nodes[0], other))
            addition.replace_all_uses_with(total)
            graph.graph.erase_node(addition)
            graph.graph.erase_node(before)
            return


def _activation(graph: fx.GraphModule, node: fx.Node) -> tuple[str, list[float]] | None:
    """OneDNN's name and scalars of an activation; None for what is none."""
    if _is_a(graph, node, nn.ReLU) or (node.op == "call_function" and node.target in (F.relu, torch.relu)):
        return "relu", []
    return ("hardtanh", [0.0, 6.0]) if _is_a(graph, node, nn.ReLU6) else None


class _FusedConvolution(nn.Module):
    """A convolution, an addition and an activation as oneDNN does them in one pass over memory.

    The same calls as torch's compiler emits for them.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self._geometry = convolution.padding, convolution.stride, convolution.dilation, convolution.groups
        self.activation: tuple[str, list[float]] = ("none", [])

    def forward(self, images: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        geometry = self._geometry
        run: Callable[..., torch.Tensor] = torch.ops.mkldnn._convolution_pointwise
        name, scalars = self.activation
        if other is None:
            return run(images, self.weight, self.bias, *geometry, name, scalars, "")
        if other.shape != self._shape_for(images):  # it would be taken as if it had that shape
            return self._activated(run(images, self.weight, self.bias, *geometry, "none", [], "") + other)
        activation = (None if name == "none" else name, scalars, "")
        return run(images, other, self.weight, self.bias, *geometry, "add", None, *activation)

    def _shape_for(self, images: torch.Tensor) -> tuple[int, ...]:
        padding, stride, dilation, _ = cast(Any, self._geometry)
        sides = zip(images.shape[2:], self.weight.shape[2:], padding, stride, dilation, strict=True)
        places = [(side + 2 * p - d * (kernel - 1) - 1) // s + 1 for side, kernel, p, s, d in sides]
        return (len(images), len(self.weight), *places)

    def _activated(self, values: torch.Tensor) -> torch.Tensor:
        name, scalars = self.activation
        if name == "hardtanh":
            return F.hardtanh(values, scalars[0], scalars[1])
        return F.relu(values) if name == "relu" else values
