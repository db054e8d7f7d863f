"""The forward pass: from 8-bit images to the values of the nodes asked for, on CPU or CUDA."""

from __future__ import annotations

import contextlib
import copy
import logging
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
from .card_decoder import check_decoder, decode_on
from .cuda_arithmetic import repeatable
from .cuda_lane import CudaLane
from .device_errors import first_line, has_failed, has_no_kernel, lacks_memory, memory_for
from .device_ring import DevicePath, Direct, Ring
from .inference_graph import prepare
from .work import Timed, rounded_batch

_FEWEST = rounded_batch(1)  # images a pass: fewer would move the last bits
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_log = logging.getLogger(__name__)


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
    except RuntimeError as error:
        if has_failed(error):
            raise
        raise UserError(
            f"preprocess.crop: {side}: the stored {spec.architecture} takes images of {built_for} pixels only"
        ) from None


class Forward:
    """Runs a network on 8-bit images, on the first device that is named; for several see `device_processes`.

    What must not decide the values does not: see `cuda_arithmetic` for how a GPU computes, which always sees
    a whole batch; and batch normalisation is folded into the convolution before it, whichever nodes are asked
    for. The mean colour is taken off before the first convolution and not in its weights: what it pads an
    image with is that mean.

    Attributes
    ----------
    where : torch.device
    in_flight : int
        Batches to start before the first is waited for: 0 on a CPU, where nothing would be gained.
    device_kind : str
        The GPU's name, or the instructions of the CPU that torch uses: `cpu AVX512`.
    device : str
        For people: the GPU's name or the processor's, and how many GPUs or cores.
    timed : Timed
        Images and seconds of the device at the network by itself, copies to and from a GPU left out, which go
        on beside it; and the first batch, in which libraries are loaded and memory is taken.
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
        self.where = choose_device(extract.devices[0], "extract.device")
        check_decoder(extract.decoder, self.where)
        self._dtype = getattr(torch, extract.dtype)
        self._precision, self._preprocess = extract.precision, preprocess
        # the network is copied, never what is made of it: a copied feature extractor is in training mode
        with memory_for("the network", "take another extract.device"):
            self._modules = prepare(
                copy.deepcopy(network).to(self.where),
                layers,
                fuse=self.where.type == "cpu" and extract.precision == "fp32",
                shapes=shapes,
            )
        # (x / 255 - mean) / std as one multiplication and one addition
        mean, std = torch.tensor(preprocess.mean), torch.tensor(preprocess.std)
        self._scale = (1 / (255 * std)).view(1, 3, 1, 1).to(self.where)
        self._shift = (-mean / std).view(1, 3, 1, 1).to(self.where)
        self._most: int | None = None  # images a pass, once the memory has not held more
        batch = (rounded_batch(extract.batch_size), preprocess.crop, preprocess.crop, 3)
        with self._on_device(), memory_for("the buffers of batches", "lower extract.batch_size"):
            self._path = path_to(self.where, batch)
        self.device_kind = kind_of(self.where)
        self.device = in_words(self.where)
        self.in_flight = self._path.in_flight
        self.timed = Timed()
        self._warm = False
        self.shapes = shapes or {}

    def decode(
        self, images: np.ndarray, encoded: Mapping[int, np.ndarray]
    ) -> tuple[torch.Tensor, dict[int, str]]:
        """As `Network.decode`."""
        with memory_for(f"a batch of {len(images)} images", "lower extract.batch_size"):
            return decode_on(self.where, images, encoded, self._preprocess)

    def start(self, images: np.ndarray | torch.Tensor) -> Callable[[], Mapping[Layer, np.ndarray]]:
        """Start a batch; gives a function that waits for {layer: (n, D) array}.

        Where the memory does not hold what a batch needs, it goes through the network in parts from then on;
        what it must hold is the values of the whole batch, twice while they are put together.

        Parameters
        ----------
        images : (n, crop, crop, 3) uint8
            An array, which may be overwritten once this returns, or a tensor on the device, ready for its
            current stream. On a GPU n is at most the batch size, rounded up.

        Raises
        ------
        UserError
            If the memory does not hold the smallest part.
        """
        with (
            self._on_device(),
            memory_for(f"a batch of {len(images)} images", "lower extract.batch_size"),
            self._path.there(images) as pixels,
        ):
            clock = _Clock(self.where)
            values = self._in_parts(pixels)
            clock.stop()
            arrived = self._path.fetch({layer: value[: len(images)] for layer, value in values.items()})

        def wait() -> Mapping[Layer, np.ndarray]:
            here = arrived()
            if self._warm:
                self.timed += Timed(len(images), clock.seconds())
            self._warm = True
            return here

        return wait

    def values(self, pixels: torch.Tensor) -> dict[Layer, torch.Tensor]:
        """{layer: (n, D) tensor} of (n, crop, crop, 3) uint8 pixels, all on the device, in one pass."""
        with self._on_device():
            # seen as (n, 3, crop, crop), this memory is in channels-last order already
            batch = torch.addcmul(self._shift, pixels.permute(0, 3, 1, 2), self._scale)
            values: dict[Layer, torch.Tensor] = {}
            with self._autocast():
                for module in self._modules:
                    values |= module(batch)
            return {layer: value.to(self._dtype) for layer, value in values.items()}

    def _in_parts(self, pixels: torch.Tensor) -> dict[Layer, torch.Tensor]:
        """In parts that the memory holds: half as large whenever it does not, down to the smallest."""
        before = size = min(self._most or len(pixels), len(pixels))
        while True:
            try:
                # all of one size, on which the last bits may depend on a GPU
                filled = torch.cat([pixels, pixels[: -len(pixels) % size]]) if len(pixels) % size else pixels
                parts = [self.values(some) for some in torch.split(filled, size)]
                break
            except (RuntimeError, MemoryError) as error:
                if not lacks_memory(error) and not has_no_kernel(error):
                    raise
                if size <= _FEWEST:
                    remedy = f"free memory of {self.device}, or take another extract.device"
                    raise UserError(f"a batch of {size} images: {first_line(error)}; {remedy}") from None
            size = rounded_batch(size // 2)  # here the error is gone, and with it what its frames held
            if self.where.type == "cuda":
                torch.cuda.empty_cache()
        if size < before:
            self._most = size
            told = "extract.batch_size: the memory of %s does not hold %d images at once; it goes on with %d"
            _log.warning(told, self.device, before, size)
        return (
            {layer: torch.cat([part[layer] for part in parts])[: len(pixels)] for layer in parts[0]}
            if parts[1:]
            else parts[0]
        )

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self._precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.where.type, _AUTOCAST[self._precision])

    @contextlib.contextmanager
    def _on_device(self) -> Iterator[None]:
        with torch.inference_mode():
            if self.where.type == "cpu":
                yield
                return
            with torch.cuda.device(self.where), repeatable():
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
        """Once the device is done."""
        if self._device.type == "cpu":
            return float(self._stopped - self._began)
        self._stopped.synchronize()
        return float(self._began.elapsed_time(self._stopped)) / 1000


def path_to(device: torch.device, batch: tuple[int, ...]) -> DevicePath:
    """How batches of that shape get to a device, and values from it."""
    return Ring(CudaLane(device), batch) if device.type == "cuda" else Direct()
