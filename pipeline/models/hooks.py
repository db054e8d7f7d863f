"""The nodes of a network that cannot be traced: what its modules return."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.module import register_module_forward_hook

from .graph import name_of_call

_CONTAINERS = nn.ModuleList | nn.ModuleDict  # never called themselves


class HookedNetwork:
    """The nodes of any network, by the names that `TracedNetwork` gives to the same modules.

    Operations are no nodes here. What is inside a module of torch's own (`nn.MultiheadAttention`) is none
    either, as there: which of its parts it calls depends on how it is called.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()
        self._paths = {module: path for path, module in reversed([*_called_modules(network)])}

    def cut(self, names: Iterable[str]) -> nn.Module:
        """A module that computes some nodes: (B, 3, H, W) to {name: value}; stops after the last of them.

        Each is a tensor, copied where it is computed: what comes later may change it in place.
        """
        return _Cut(self, tuple(names))

    def values(self, images: torch.Tensor) -> dict[str, object]:
        """What each node gives for some images, be it a tensor or not, in the order in which they return."""
        values: dict[str, object] = {}

        def keep(name: str, _: nn.Module, value: object) -> bool:
            values[name] = value
            return False

        self.watch(images, keep)
        return values

    def weights_behind(self, name: str, images: torch.Tensor) -> list[str]:
        """State-dict names of the modules that have returned when a node has its value.

        What a module that has not returned uses itself, such as a class token, is not among them.
        """
        weights: list[str] = []

        def note(returned: str, module: nn.Module, _: object) -> bool:
            prefix = f"{self._paths[module]}."
            weights.extend(key for key in self._network.state_dict() if key.startswith(prefix))
            return returned == name

        self.watch(images, note)
        return list(dict.fromkeys(weights))

    def watch(self, images: torch.Tensor, returned: Callable[[str, nn.Module, Any], bool]) -> None:
        """Run the network until `returned`, which is told a node's name, module and value, says enough."""
        calls = collections.Counter[str]()

        def hook(module: nn.Module, _: object, value: object) -> None:
            if path := self._paths.get(module):
                calls[path] += 1
                if returned(name_of_call(path, calls[path] - 1), module, value):
                    raise _Enough

        # a hook of all modules: one of a module's own would make some of torch's compute another way
        handle = register_module_forward_hook(hook)
        try:
            self._network(images)
        except _Enough:
            pass
        finally:
            handle.remove()


class _Cut(nn.Module):
    def __init__(self, hooked: HookedNetwork, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = hooked._network
        self._hooked, self._names = hooked, names

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        wanted, values = set(self._names), dict[str, torch.Tensor]()

        def keep(name: str, _: nn.Module, value: torch.Tensor) -> bool:
            if name in wanted:
                values[name] = value.clone()
            return len(values) == len(wanted)

        self._hooked.watch(images, keep)
        return values


class _Enough(BaseException):
    """Ends a forward pass; no error, so that no network catches it."""


def _called_modules(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        inside = f"{path}{name}"
        yield inside, child
        if isinstance(child, _CONTAINERS) or not fx.Tracer().is_leaf_module(child, inside):
            yield from _called_modules(child, f"{inside}.")
