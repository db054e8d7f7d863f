"""How much of the time a card computes while something runs, as PyTorch's profiler records it."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_COPIES = {"gpu_memcpy", "gpu_memset"}


@dataclasses.dataclass(frozen=True)
class CardTime:
    """What a card did between the beginning of its first kernel and the end of its last.

    Attributes
    ----------
    seconds : float
    computes : float
        Share of them in which at least one kernel ran.
    copies : float
        Share in which memory was copied or set.
    only_copies : float
        Share in which memory was copied or set and no kernel ran.
    kernels : int
    """

    seconds: float
    computes: float
    copies: float
    only_copies: float
    kernels: int


def busy_share(run: Callable[[], None]) -> float:
    """Share of the time in which the card computes, from its first kernel to its last; 0 without a kernel."""
    return trace_of(run).computes


def trace_of(run: Callable[[], None], keep: Path | None = None) -> CardTime:
    """Run under the profiler. `keep` is where the trace is kept, for chrome://tracing or Perfetto."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    if not torch.cuda.is_available():  # there is nothing to record
        run()
        return CardTime(0.0, 0.0, 0.0, 0.0, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = keep or Path(folder) / "trace.json"
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            run()
        profiler.export_chrome_trace(str(path))
        return card_time(json.loads(path.read_text()))


def card_time(trace: Mapping[str, Any]) -> CardTime:
    """What a trace in Chrome's format, with microseconds, says of one card."""
    events = [event for event in trace["traceEvents"] if event.get("ph") == "X"]
    kernels = _spans(event for event in events if event.get("cat") == "kernel")
    copies = _spans(event for event in events if event.get("cat") in _COPIES)
    if not len(kernels):
        return CardTime(0.0, 0.0, 0.0, 0.0, 0)
    first, last = kernels[:, 0].min(), kernels[:, 1].max()
    copies = np.clip(copies, first, last)
    window, busy = last - first, covered(kernels)
    both = covered(np.concatenate([kernels, copies]))
    return CardTime(
        seconds=float(window) / 1e6,
        computes=float(busy / window),
        copies=float(covered(copies) / window),
        only_copies=float((both - busy) / window),
        kernels=len(kernels),
    )


def _spans(events: Any) -> np.ndarray:
    """(n, 2) float64: from, to."""
    spans = [(float(event["ts"]), float(event["ts"]) + float(event["dur"])) for event in events]
    return np.array(spans, np.float64).reshape(-1, 2)


def covered(spans: np.ndarray) -> float:
    """The length of what (n, 2) spans cover together."""
    if not len(spans):
        return 0.0
    spans = spans[np.argsort(spans[:, 0])]
    ends = np.maximum.accumulate(spans[:, 1])
    begins = np.maximum(spans[1:, 0], ends[:-1])
    return float(ends[0] - spans[0, 0] + np.maximum(ends[1:] - begins, 0).sum())
