"""A network's graph, as torch.fx traces it in eval mode, and the part of it that some nodes need."""

from __future__ import annotations

import collections
import inspect
import math
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torchvision
from torch import fx, nn
from torchvision.models.feature_extraction import NodePathTracer

# torchvision's own: each is one node
_LEAVES = [
    kind for kind in vars(torchvision.ops).values() if inspect.isclass(kind) and issubclass(kind, nn.Module)
]


class TracedNetwork:
    """The nodes of a network that torch.fx can trace.

    Nodes are named as torchvision's feature extraction names them: by the module that computes them
    (`layer1.0.conv1`), or by the operation in it (`layer1.0.add`); the second of a name ends in _1. A module
    that is made of others is a node as well, and stands for what it returns. Modules and functions that timm
    wants to be left whole are one node each.

    Raises
    ------
    Exception
        Of any kind, if the network cannot be traced.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()
        tracer = _Tracer()
        self._graph = tracer.trace(network)
        self._values, self._ends = tracer.values, tracer.ends

    def cut(self, names: Iterable[str]) -> fx.GraphModule:
        """A module that computes some nodes: (B, 3, H, W) to {name: value}; stops after the last of them.

        Each is a tensor, copied where it is given: an in-place ReLU or `+=` further on would overwrite it.
        The module shares the network's.
        """
        wanted = collections.defaultdict[fx.Node, list[str]](list)
        for name in names:
            wanted[self._ends[name]].append(name)
        graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
        kept: dict[str, fx.Node] = {}
        for node in self._graph.nodes:
            copies[node] = graph.node_copy(node, copies.__getitem__)
            for name in wanted.pop(node, ()):
                kept[name] = graph.call_method("clone", (copies[self._values[name]],))
            if not wanted:
                break
        graph.output(kept)
        return fx.GraphModule(self._network, graph)

    def module_of(self, name: str) -> nn.Module | None:
        """The module that a node calls; None where it is an operation, or made of others."""
        node = self._values[name]
        is_call = isinstance(node, fx.Node) and node.op == "call_module"
        return self._network.get_submodule(str(node.target)) if is_call else None

    def modules_after(self, name: str) -> list[nn.Module]:
        """The modules that are called with a node's value."""
        users = [user for user in self._values[name].users if user.op == "call_module"]
        return [self._network.get_submodule(str(user.target)) for user in users]

    def values(self, images: torch.Tensor) -> dict[str, object]:
        """What each node gives for some images, be it a tensor or not, in order of computation."""
        graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
        graph.graph_copy(self._graph, copies)
        graph.output({name: fx.map_arg(value, copies.__getitem__) for name, value in self._values.items()})
        return {**fx.GraphModule(self._network, graph)(images)}

    def weights_behind(self, name: str, images: torch.Tensor) -> list[str]:
        """State-dict names of what a node's value is computed from, whatever the images are."""
        behind, waiting = dict[fx.Node, None](), [self._values[name]]
        while waiting:
            node = waiting.pop()
            if node not in behind:
                behind[node] = None
                waiting.extend(node.all_input_nodes)
        targets = [str(node.target) for node in behind if node.op in ("call_module", "get_attr")]
        names = self._network.state_dict()
        return [key for key in names if any(key == t or key.startswith(f"{t}.") for t in targets)]


class _Tracer(NodePathTracer):  # type: ignore[misc]
    """Notes what each module returns, beside the nodes.

    Attributes
    ----------
    values : {name: Node, or a tuple, list or dict of them}
    ends : {name: Node}
        The last of the graph when the value was given: a module may change it in place before it returns it.
    """

    def __init__(self) -> None:
        timm = sys.modules.get("timm.layers")  # no network has parts of a library that is not loaded
        super().__init__(
            autowrap_modules=(math, torchvision.ops),
            autowrap_functions=tuple(timm.get_notrace_functions()) if timm else (),
            leaf_modules=[*_LEAVES, *(timm.get_notrace_modules() if timm else ())],
        )
        self.values: dict[str, Any] = {}
        self.ends: dict[str, fx.Node] = {}
        self._calls = collections.Counter[str]()

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: object = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """The network and its images: what else `forward` takes, such as a mask, keeps its default."""
        return root_fn, [self.root, self.create_proxy("placeholder", "images", (), {})]

    def create_proxy(self, kind: str, target: Any, *args: Any, **kwargs: Any) -> fx.Proxy:
        """As of `NodePathTracer`."""
        proxy: fx.Proxy = super().create_proxy(kind, target, *args, **kwargs)
        if kind != "placeholder":
            name = self.node_to_qualname[proxy.node]
            self.values[name] = self.ends[name] = proxy.node
        return proxy

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """As of `NodePathTracer`."""
        value = super().call_module(m, forward, args, kwargs)
        path = self.path_of_module(m)
        if not self.is_leaf_module(m, path):
            name = name_of_call(path, self._calls[path])
            if name not in self.values:
                self.values[name] = fx.node.map_aggregate(value, _without_proxy)
                self.ends[name] = next(iter(reversed(self.graph.nodes)))
            self._calls[path] += 1
        return value


def name_of_call(path: str, earlier: int) -> str:
    """The node's name of a module that has been called some times before."""
    return f"{path}_{earlier}" if earlier else path


def _without_proxy(value: Any) -> Any:
    return value.node if isinstance(value, fx.Proxy) else value
