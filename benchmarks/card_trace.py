"""How much of the time a card computes while something runs, as PyTorch's profiler records it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def busy_share(run: Callable[[], None]) -> float | None:
    """Share of the time in which the card computes, from its first kernel to its last.

    None where nothing was recorded: there is no card, or nobody may look at it.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile

    if not torch.cuda.is_available():  # there is nothing to record
        run()
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            run()
        profiler.export_chrome_trace(str(path))
        return computing_share(json.loads(path.read_text()))


def computing_share(trace: Mapping[str, Any]) -> float | None:
    """The same of a trace in Chrome's format, of one card."""
    kernels = _spans(event for event in trace["traceEvents"] if event.get("cat") == "kernel")
    if not len(kernels):
        return None
    return covered(kernels) / float(kernels[:, 1].max() - kernels[:, 0].min())


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
