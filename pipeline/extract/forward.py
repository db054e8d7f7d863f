"""The forward pass: from 8-bit images to the values of the nodes asked for, on CPU or CUDA."""

from __future__ import annotations

import contextlib
import copy
import itertools
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import UserError
from ..models.card import read_card
from ..models.device import choose_device, in_words, kind_of
from ..models.layers import check_layers, stored_shapes
from ..models.network import load_network
from ..params import Extract, Layer, Model, Preprocess
from ..store.layer_shape import LayerShape
from .inference_graph import prepare
from .work import Timed

_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def load_forward(
    model_dir: Path | str, spec: Model, layers: Sequence[Layer], extract: Extract, root: Path
) -> Forward:
    """The forward pass of a stored model, up to the given layers; `root` is the project's folder.

    Raises
    ------
    UserError
        If the device is not there, or a layer would come from weights that the checkpoint does not have.
    """
    card = read_card(model_dir)
    network = load_network(model_dir, root)
    check_layers(card, spec.architecture, spec.nodes, root)
    shapes = stored_shapes(card, spec.transform.crop, layers, root)
    forward = Forward(network, layers, spec.transform, extract, shapes)
    if spec.transform.crop != card.crop:
        _check_crop(forward, spec, card.crop)
    return forward


def _check_crop(forward: Forward, spec: Model, built_for: int) -> None:
    """Refuse a size of images that the network cannot take; most networks take any."""
    side = spec.transform.crop
    try:
        forward.start(np.zeros((1, side, side, 3), np.uint8))()
    except RuntimeError:
        raise UserError(
            f"preprocess.crop: {side}: the stored {spec.architecture} takes images of {built_for} pixels only"
        ) from None


class Forward:
    """Runs a network on 8-bit images, on the first device that is named; for several see `device_processes`.

    What must not decide the values does not: convolutions use no TF32 and no autotuning, and batch
    normalisation is folded into the convolution before it, whichever nodes are asked for.

    Attributes
    ----------
    in_flight : int
        Batches to start before the first is waited for: 0 on a CPU, where nothing would be gained.
    device_kind : str
        The GPU's name, or the instructions of the CPU that torch uses: `cpu AVX512`.
    device : str
        For people: the GPU's name or the processor's, and how many GPUs or cores.
    timed : Timed
        Images and seconds of the devices by themselves, copies to and from a GPU included; each device's
        first batch, in which libraries are loaded and memory is taken, is left out.
    shapes : {Layer: LayerShape}
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[Layer],
        preprocess: Preprocess,
        extract: Extract,
        shapes: Mapping[Layer, LayerShape] | None = None,
    ) -> None:
        self.devices = [choose_device(extract.devices[0], "extract.device")]
        self._dtype = getattr(torch, extract.dtype)
        self._precision = extract.precision
        # the network is copied, never what is made of it: a copied feature extractor is in training mode
        with _memory_for("the network", "take another extract.device"):
            self._replicas = [
                prepare(
                    copy.deepcopy(network).to(device),
                    layers,
                    fuse=device.type == "cpu" and extract.precision == "fp32",
                    shapes=shapes,
                )
                for device in self.devices
            ]
        # (x / 255 - mean) / std as one multiplication and one addition
        mean, std = torch.tensor(preprocess.mean), torch.tensor(preprocess.std)
        scale, shift = (1 / (255 * std)).view(1, 3, 1, 1), (-mean / std).view(1, 3, 1, 1)
        self._scales = [(scale.to(device), shift.to(device)) for device in self.devices]
        self._turns = itertools.cycle(range(len(self.devices)))
        self.device_kind = kind_of(self.devices[0])
        self.device = in_words(self.devices[0])
        self.in_flight = 0 if self.devices[0].type == "cpu" else 2 * len(self.devices)
        self.timed = Timed()
        self._warm: set[torch.device] = set()
        self.shapes = shapes or {}

    def start(self, images: np.ndarray) -> Callable[[], Mapping[Layer, np.ndarray]]:
        """Start a batch of (B, crop, crop, 3) uint8; gives a function that waits for {layer: (B, D) array}.

        Raises
        ------
        UserError
            If the memory does not hold the batch.
        """
        turn = next(self._turns)
        device, (scale, shift) = self.devices[turn], self._scales[turn]
        what = f"a batch of {len(images)} images"
        with torch.inference_mode(), self._arithmetic(device), _memory_for(what, "lower extract.batch_size"):
            clock = _Clock(device)
            pixels = torch.from_numpy(images)
            if device.type == "cuda":
                pixels = pixels.pin_memory().to(device, non_blocking=True)
            # seen as (B, 3, crop, crop), this memory is in channels-last order already
            batch = torch.addcmul(shift, pixels.permute(0, 3, 1, 2).float(), scale)
            values: dict[Layer, torch.Tensor] = {}
            with self._autocast(device):
                for module in self._replicas[turn]:
                    values |= module(batch)
            values = {layer: value.to(self._dtype) for layer, value in values.items()}
            return self._fetch(values, device, len(images), clock)

    def _fetch(
        self, values: dict[Layer, torch.Tensor], device: torch.device, images: int, clock: _Clock
    ) -> Callable[[], Mapping[Layer, np.ndarray]]:
        if device.type == "cuda":
            there = {k: torch.empty(v.shape, dtype=v.dtype, pin_memory=True) for k, v in values.items()}
            for layer, value in values.items():
                there[layer].copy_(value, non_blocking=True)
            values = there
        clock.stop()

        def wait() -> Mapping[Layer, np.ndarray]:
            seconds = clock.seconds()  # waits for a GPU
            if device in self._warm:
                self.timed += Timed(images, seconds / len(self.devices))
            self._warm.add(device)
            return {layer: value.numpy() for layer, value in values.items()}

        return wait

    def _autocast(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
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


class _Clock:
    """How long a device is at what is asked of it between now and `stop`; a GPU does that later."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._began = self._now()
        self._stopped = self._began

    def _now(self) -> Any:
        if self._device.type == "cpu":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event

    def stop(self) -> None:
        self._stopped = self._now()

    def seconds(self) -> float:
        """Waits until the device is done."""
        if self._device.type == "cpu":
            return float(self._stopped - self._began)
        self._stopped.synchronize()
        return float(self._began.elapsed_time(self._stopped)) / 1000


@contextlib.contextmanager
def _memory_for(what: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # torch tells of the CPU's memory, and of some of CUDA's, in words alone
        if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) and not _NO_MEMORY.search(str(error)):
            raise
        told = (str(error).splitlines() or ["out of memory"])[0]
        raise UserError(f"{what}: {told}; {remedy}") from None
