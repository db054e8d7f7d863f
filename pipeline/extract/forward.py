"""The forward pass: from 8-bit images to the values of the nodes asked for, on CPU or CUDA."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pipeline.errors import UserError
from pipeline.models.card import read_card
from pipeline.models.layers import LayerExtractor, check_layers, layer_extractor
from pipeline.models.network import load_network
from pipeline.params import Extract, Model, Preprocess

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def load_forward(model_dir: Path | str, spec: Model, nodes: Sequence[str], extract: Extract) -> Forward:
    """The forward pass of a stored model, up to the given nodes.

    Raises
    ------
    UserError
        If the device is not there, or a layer would come from weights that the checkpoint does not have.
    """
    card = read_card(model_dir)
    check_layers(card, spec.architecture, spec.layers)
    forward = Forward(load_network(model_dir), nodes, spec.preprocess, extract)
    if spec.preprocess.crop != card.crop:
        _check_crop(forward, spec, card.crop)
    return forward


def _check_crop(forward: Forward, spec: Model, built_for: int) -> None:
    """Refuse a size of images that the network cannot take; most networks take any."""
    side = spec.preprocess.crop
    try:
        forward.start(np.zeros((1, side, side, 3), np.uint8))()
    except RuntimeError:
        raise UserError(
            f"preprocess.crop: {side}: the stored {spec.architecture} takes images of {built_for} pixels only"
        ) from None


class Forward:
    """Runs a network on 8-bit images; the work is shared among all GPUs that the device names.

    What must not decide the values does not: convolutions use no TF32 and no autotuning, and batch
    normalisation is folded into the convolution before it, whichever nodes are asked for.

    Attributes
    ----------
    in_flight : int
        Batches to start before the first is waited for: 0 on a CPU, where nothing would be gained.
    """

    def __init__(
        self, network: nn.Module, nodes: Sequence[str], preprocess: Preprocess, extract: Extract
    ) -> None:
        self.devices = _devices(extract.device)
        self._dtype = getattr(torch, extract.dtype)
        self._precision = extract.precision
        # the network is copied, never what is made of it: a copied feature extractor is in training mode
        self._replicas = [prepare(copy.deepcopy(network).to(device), nodes) for device in self.devices]
        # (x / 255 - mean) / std as one multiplication and one addition
        mean, std = torch.tensor(preprocess.mean), torch.tensor(preprocess.std)
        scale, shift = (1 / (255 * std)).view(1, 3, 1, 1), (-mean / std).view(1, 3, 1, 1)
        self._scales = [(scale.to(device), shift.to(device)) for device in self.devices]
        self._turns = itertools.cycle(range(len(self.devices)))
        self.in_flight = 0 if self.devices[0].type == "cpu" else 2 * len(self.devices)

    def start(self, images: np.ndarray) -> Callable[[], Mapping[str, np.ndarray]]:
        """Start a batch of (B, crop, crop, 3) uint8; gives a function that waits for {node: (B, D) array}."""
        turn = next(self._turns)
        device, (scale, shift) = self.devices[turn], self._scales[turn]
        with torch.inference_mode(), self._arithmetic(device):
            pixels = torch.from_numpy(images)
            if device.type == "cuda":
                pixels = pixels.pin_memory().to(device, non_blocking=True)
            # seen as (B, 3, crop, crop), this memory is in channels-last order already
            batch = torch.addcmul(shift, pixels.permute(0, 3, 1, 2).float(), scale)
            values: dict[str, torch.Tensor] = {}
            with self._autocast(device):
                for module in self._replicas[turn]:
                    values |= module(batch)
            values = {node: value.to(self._dtype) for node, value in values.items()}
            return self._fetch(values, device)

    def _fetch(
        self, values: dict[str, torch.Tensor], device: torch.device
    ) -> Callable[[], Mapping[str, np.ndarray]]:
        if device.type == "cpu":
            arrays = {node: value.numpy() for node, value in values.items()}
            return lambda: arrays
        there = {node: torch.empty(v.shape, dtype=v.dtype, pin_memory=True) for node, v in values.items()}
        for node, value in values.items():
            there[node].copy_(value, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(device))

        def wait() -> Mapping[str, np.ndarray]:
            done.synchronize()
            return {node: value.numpy() for node, value in there.items()}

        return wait

    def _autocast(self, device: torch.device) -> contextlib.AbstractContextManager:
        if self._precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(device.type, _AUTOCAST[self._precision])

    @contextlib.contextmanager
    def _arithmetic(self, device: torch.device) -> Iterator[None]:
        if device.type == "cpu":
            yield
            return
        with (
            torch.cuda.device(device),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            yield


def _devices(name: str) -> list[torch.device]:
    """`auto`: every GPU, else the CPU; `cuda`: every GPU; `cuda:1`: that one."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and count == 0):
        return [torch.device("cpu")]
    if count == 0:
        raise UserError(f"extract.device: {name}: torch finds no GPU; set it to auto or cpu")
    if name in ("auto", "cuda"):
        return [torch.device("cuda", number) for number in range(count)]
    if (device := torch.device(name)).index >= count:
        raise UserError(f"extract.device: {name}: there are {count} GPUs, cuda:0 to cuda:{count - 1}")
    return [device]


def prepare(network: nn.Module, nodes: Sequence[str]) -> list[LayerExtractor]:
    """The modules that together give the nodes, each computed as it would be if asked for alone.

    Batch normalisation is folded into the convolution before it. Where a node is such a convolution
    itself, its value before the normalisation comes from a module of its own, so that the bits of the
    other nodes do not depend on which nodes are asked for beside them.
    """
    bare = [
        node
        for node in nodes
        if _would_be_folded(layer_extractor(network, {node: node}).graph, network, node)
    ]
    groups = [[node for node in nodes if node not in bare], bare]
    modules = [layer_extractor(network, {node: node for node in group}) for group in groups if group]
    for module in modules:
        if not set(module.layers) & set(bare):
            _fold_batch_norms(module.graph)
        _keep_outputs(module.graph)
    for module in modules:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return modules


def _would_be_folded(graph: fx.GraphModule, network: nn.Module, node: str) -> bool:
    """Whether `node` ends in a convolution that, in the whole network, a batch normalisation follows."""
    (value,) = _outputs(graph).values()
    if not _is_a(graph, value, nn.Conv2d):
        return False
    whole = fx.symbolic_trace(network)
    convolution = next(n for n in whole.graph.nodes if n.op == "call_module" and n.target == value.target)
    return any(_is_a(whole, user, nn.BatchNorm2d) for user in convolution.users)


def _is_a(graph: fx.GraphModule, node: fx.Node, kind: type[nn.Module]) -> bool:
    return node.op == "call_module" and isinstance(graph.get_submodule(str(node.target)), kind)


def _outputs(graph: fx.GraphModule) -> dict[str, fx.Node]:
    output = next(node for node in graph.graph.nodes if node.op == "output")
    return output.args[0]


def _fold_batch_norms(graph: fx.GraphModule) -> None:
    for node in list(graph.graph.nodes):
        if not _is_a(graph, node, nn.BatchNorm2d):
            continue
        before = node.args[0]
        if _is_a(graph, before, nn.Conv2d) and len(before.users) == 1:
            convolution, norm = (graph.get_submodule(str(n.target)) for n in (before, node))
            folded = fuse_conv_bn_eval(convolution, norm)  # type: ignore[type-var, arg-type]
            graph.set_submodule(before.target, folded)
            node.replace_all_uses_with(before)
            graph.graph.erase_node(node)
    graph.recompile()


def _keep_outputs(graph: fx.GraphModule) -> None:
    """Copy each output where it is computed: an in-place ReLU or `+=` further on would overwrite it."""
    output = next(node for node in graph.graph.nodes if node.op == "output")
    kept = {}
    for name, value in output.args[0].items():
        with graph.graph.inserting_after(value):
            kept[name] = graph.graph.call_method("clone", (value,))
    output.args = (kept,)
    graph.recompile()
