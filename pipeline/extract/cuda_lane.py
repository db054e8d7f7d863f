"""CUDA as the ring of buffers sees it: the current stream computes, two others copy."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class CudaLane:
    """See `device_ring.Lane`.

    Memory that one stream takes and another uses is recorded with both, so that torch's allocators give it
    to nobody before either is done, however a run ends. They also keep pinned memory that is given back,
    so that only the first batches wait for the system to pin some.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._up, self._down = (torch.cuda.Stream(device) for _ in range(2))  # type: ignore[no-untyped-call]

    def host(self, shape: Sequence[int]) -> torch.Tensor:
        """Pinned memory."""
        return torch.empty(tuple(shape), dtype=torch.uint8, pin_memory=True)

    def there(self, shape: Sequence[int]) -> torch.Tensor:
        """Of the device, zeros."""
        memory = torch.zeros(tuple(shape), dtype=torch.uint8, device=self._device)
        memory.record_stream(self._up)
        return memory

    def send(self, host: torch.Tensor, there: torch.Tensor, after: torch.cuda.Event) -> torch.cuda.Event:
        """On a stream of its own."""
        with torch.cuda.stream(self._up):
            self._up.wait_event(after)
            there.copy_(host, non_blocking=True)
            return self._mark_of(self._up)

    def fetch(
        self, values: Sequence[torch.Tensor], after: torch.cuda.Event
    ) -> tuple[list[torch.Tensor], torch.cuda.Event]:
        """On a stream of its own, into pinned memory."""
        here = []
        with torch.cuda.stream(self._down):
            self._down.wait_event(after)
            for value in values:
                here.append(torch.empty(value.shape, dtype=value.dtype, pin_memory=True))
                here[-1].copy_(value, non_blocking=True)
                value.record_stream(self._down)
            return here, self._mark_of(self._down)

    def mark(self) -> torch.cuda.Event:
        """The end of what the current stream was asked for."""
        return self._mark_of(torch.cuda.current_stream(self._device))

    def hold(self, mark: torch.cuda.Event) -> None:
        """The current stream waits."""
        torch.cuda.current_stream(self._device).wait_event(mark)

    def wait(self, mark: torch.cuda.Event) -> None:
        """Without spinning: the core is a decoder's."""
        mark.synchronize()

    def _mark_of(self, stream: torch.cuda.Stream) -> torch.cuda.Event:
        mark = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        mark.record(stream)
        return mark
