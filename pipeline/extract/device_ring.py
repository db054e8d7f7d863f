"""The way to the device that computes, and back: copies go on meanwhile, through a ring of buffers."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from ..params import Layer

_SLOTS = 3  # one being filled, one being copied, one that the device reads


class Lane(Protocol):
    """What the ring asks of a device, which does what it is asked for later: in order within a queue.

    There is a queue of what is computed, one of copies to the device and one of copies from it. A mark is a
    place in a queue: it has come when all before it has been done. No method but `wait` waits.
    """

    def host(self, shape: Sequence[int]) -> torch.Tensor:
        """Memory of this machine, uint8, from which the device copies by itself."""
        ...

    def there(self, shape: Sequence[int]) -> torch.Tensor:
        """Memory of the device, uint8."""
        ...

    def send(self, host: torch.Tensor, there: torch.Tensor, after: Any) -> Any:
        """Copy to the device once the mark `after` has come; gives the mark of the copy's end."""
        ...

    def fetch(self, values: Sequence[torch.Tensor], after: Any) -> tuple[list[torch.Tensor], Any]:
        """Copy from the device once `after` has come; gives where to, and the mark of the copies' end."""
        ...

    def mark(self) -> Any:
        """The end of what is to be computed so far."""
        ...

    def hold(self, mark: Any) -> None:
        """What is computed from now on comes after the mark."""
        ...

    def wait(self, mark: Any) -> None:
        """Wait until the mark has come."""
        ...


class DevicePath(Protocol):
    """How images come to where they are computed, and values from there."""

    in_flight: int  # batches to start before the first is waited for

    def there(self, images: np.ndarray | torch.Tensor) -> contextlib.AbstractContextManager[torch.Tensor]:
        """Where the device finds (n, side, side, 3) uint8 images, which come first if there are more.

        What reads them is asked for before the context ends; an array may be overwritten then.
        """
        ...

    def fetch(self, values: Mapping[Layer, torch.Tensor]) -> Callable[[], dict[Layer, np.ndarray]]:
        """A function that waits for values, which are then the caller's."""
        ...


class Direct:
    """Of a device whose memory is this machine's: see `DevicePath`."""

    in_flight = 0  # nothing would be gained

    @contextlib.contextmanager
    def there(self, images: np.ndarray | torch.Tensor) -> Iterator[torch.Tensor]:
        """They are there."""
        yield torch.from_numpy(images) if isinstance(images, np.ndarray) else images

    def fetch(self, values: Mapping[Layer, torch.Tensor]) -> Callable[[], dict[Layer, np.ndarray]]:
        """They are here."""
        return lambda: {layer: value.numpy() for layer, value in values.items()}


@dataclasses.dataclass
class _Slot:
    host: torch.Tensor
    there: torch.Tensor
    read: Any  # after what was computed from `there`
    sent: Any = None  # after the copy from `host`


class Ring:
    """Of a device with memory of its own: see `DevicePath`.

    It always sees whole batches: behind fewer images stands what a buffer held before. A host buffer is
    written again when its copy has ended, which is waited for here; a device's when what was to read it has,
    which the next copy waits for. Values are copied once a batch: beside the computing that costs nothing,
    and a kill then costs no more than on a CPU.

    Parameters
    ----------
    lane : Lane
    shape : (batch_size, side, side, 3)
    """

    in_flight = _SLOTS - 1

    def __init__(self, lane: Lane, shape: tuple[int, ...]) -> None:
        self._lane, self._images = lane, shape[0]
        slots = [_Slot(lane.host(shape), lane.there(shape), read=lane.mark()) for _ in range(_SLOTS)]
        self._turns = itertools.cycle(slots)

    @contextlib.contextmanager
    def there(self, images: np.ndarray | torch.Tensor) -> Iterator[torch.Tensor]:
        """In a buffer of the device; images that are on it are taken as they are."""
        if isinstance(images, torch.Tensor):
            missing = max(self._images - len(images), 0)
            yield torch.cat([images, images.new_zeros(missing, *images.shape[1:])]) if missing else images
            return
        if len(images) > self._images:
            raise ValueError(f"{len(images)} images, and buffers of {self._images}")
        slot, lane = next(self._turns), self._lane
        if slot.sent is not None:
            lane.wait(slot.sent)
        slot.host[: len(images)].copy_(torch.from_numpy(images))
        slot.sent = lane.send(slot.host[: len(images)], slot.there[: len(images)], slot.read)
        lane.hold(slot.sent)
        try:
            yield slot.there
        finally:
            slot.read = lane.mark()

    def fetch(self, values: Mapping[Layer, torch.Tensor]) -> Callable[[], dict[Layer, np.ndarray]]:
        """Copied while the device goes on."""
        here, fetched = self._lane.fetch(list(values.values()), self._lane.mark())
        layers = list(values)  # the values are not held: their memory is for the next batch

        def wait() -> dict[Layer, np.ndarray]:
            self._lane.wait(fetched)
            return {layer: value.numpy() for layer, value in zip(layers, here, strict=True)}

        return wait
