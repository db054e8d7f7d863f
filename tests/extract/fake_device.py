"""A device that does what it is asked for late, at a pace that is drawn: what is not waited for shows."""

from __future__ import annotations

import collections
import random
from collections.abc import Callable, Sequence

import torch


class Mark:
    """A place in a queue."""

    def __init__(self, come: bool = False) -> None:
        self.come = come


class FakeDevice:
    """A `device_ring.Lane` of three queues: what is written or read too early gives other pixels."""

    def __init__(self, seed: int = 0) -> None:
        self._draw = random.Random(seed)
        self._queues: dict[str, collections.deque[Mark | Callable[[], object]]] = {
            name: collections.deque() for name in ("up", "compute", "down")
        }

    def host(self, shape: Sequence[int]) -> torch.Tensor:
        return torch.zeros(tuple(shape), dtype=torch.uint8)

    def there(self, shape: Sequence[int]) -> torch.Tensor:
        return torch.zeros(tuple(shape), dtype=torch.uint8)

    def send(self, host: torch.Tensor, there: torch.Tensor, after: Mark) -> Mark:
        return self._ask("up", after, lambda: there.copy_(host))

    def fetch(self, values: Sequence[torch.Tensor], after: Mark) -> tuple[list[torch.Tensor], Mark]:
        here = [torch.empty_like(value) for value in values]
        mark = self._ask(
            "down",
            after,
            lambda: [one.copy_(value) for one, value in zip(here, values, strict=True)],
        )
        return here, mark

    def mark(self) -> Mark:
        return self._ask("compute")

    def hold(self, mark: Mark) -> None:
        self._queues["compute"].append(mark)

    def wait(self, mark: Mark) -> None:
        while not mark.come:
            assert self._step(), "nothing can go on"

    def compute(self, work: Callable[[], object]) -> None:
        """Ask for a computation."""
        self._ask("compute", Mark(come=True), work)

    def idle(self) -> None:
        """Let it work for a while."""
        for _ in range(self._draw.randrange(8)):
            self._step()

    def _ask(self, queue: str, after: Mark | None = None, work: Callable[[], object] | None = None) -> Mark:
        mark = Mark()
        if after is not None:
            self._queues[queue].append(after)
        if work is not None:
            self._queues[queue].append(work)
        self._queues[queue].append(lambda: setattr(mark, "come", True))
        return mark

    def _step(self) -> bool:
        """Do what comes next in one of the queues that can go on; False if none can."""
        able = [q for q in self._queues.values() if q and (not isinstance(q[0], Mark) or q[0].come)]
        if able:
            step = self._draw.choice(able).popleft()
            if not isinstance(step, Mark):
                with torch.inference_mode():
                    step()
        return bool(able)


class EagerDevice(FakeDevice):
    """One that computes at once, as a CPU does, and only copies late."""

    def mark(self) -> Mark:
        return Mark(come=True)

    def hold(self, mark: Mark) -> None:
        self.wait(mark)
