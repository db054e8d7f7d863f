"""What extraction leaves out on a card because it was not measured: what it would give, and in which bits.

CUDA graphs spare the launching of each kernel, which counts for small batches and light networks; a larger
batch spares it too. In fp32 without TF32, cuDNN may be quicker with channels first than as Pool5 lays them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from pool5.extract.cuda_arithmetic import repeatable
from pool5.extract.forward import Forward
from pool5.params import Extract, Layer, Preprocess

_ROUNDS = 5
Pass = Callable[[], dict[Layer, torch.Tensor]]


def choices_of(
    network: nn.Module,
    layers: list[Layer],
    crop: int,
    precision: str,
    *,
    device: str = "cuda",
    batches: tuple[int, ...] = (32, 256),
    seconds: float = 0.2,
) -> list[dict[str, Any]]:
    """A line for each size of batch: milliseconds as extraction computes, and in the other ways.

    `graph_same_bits` says whether a CUDA graph's values are those of a plain pass; `first_apart` how far
    those with channels first are from them, as a share of the largest. What cannot be done on the device, or
    with this network, is None, with the reason in `why_no_graph`.
    """
    lines = []
    for batch in batches:
        extract = Extract(device=device, precision=precision, batch_size=batch)
        forward = Forward(network, layers, Preprocess(resize=crop, crop=crop), extract)
        draw = np.random.default_rng(0)
        pixels = torch.from_numpy(draw.integers(0, 256, (batch, crop, crop, 3), dtype=np.uint8))
        with torch.inference_mode():
            lines.append({"batch": batch} | _one(forward, pixels.to(forward.where), seconds))
    return lines


def _one(forward: Forward, pixels: torch.Tensor, seconds: float) -> dict[str, Any]:
    plain: Pass = lambda: forward.values(pixels)  # noqa: E731
    expected = plain()
    line: dict[str, Any] = {
        "plain_ms": _milliseconds(plain, seconds),
        "graph_ms": None,
        "graph_same_bits": None,
    }
    try:
        replay = _graph_of(plain)
    except RuntimeError as error:  # of a device that has none, and of what a capture does not allow
        line["why_no_graph"] = str(error).splitlines()[0]
    else:
        line["graph_ms"] = _milliseconds(replay, seconds)
        found = replay()
        line["graph_same_bits"] = all(torch.equal(found[layer], expected[layer]) for layer in expected)
    for module in forward._modules:
        for value in (*module.parameters(), *module.buffers()):
            if value.ndim == 4:
                value.data = value.data.contiguous()
    first = pixels.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    other: Pass = lambda: forward.values(first)  # noqa: E731
    found = other()
    line["first_ms"] = _milliseconds(other, seconds)
    far = [(found[k].float() - v.float()).abs().max() / v.float().abs().max() for k, v in expected.items()]
    return line | {"first_apart": float(max(far))}


def _graph_of(plain: Pass) -> Pass:
    """A pass that is recorded once and replayed."""
    if not torch.cuda.is_available():
        raise RuntimeError("no GPU")
    with repeatable():
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # libraries take their memory before the recording
            for _ in range(3):
                plain()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            values = plain()

    def replay() -> dict[Layer, torch.Tensor]:
        graph.replay()
        return values

    return replay


def _milliseconds(run: Pass, seconds: float) -> float:
    """The quickest of some rounds, of so many passes each that all take about that long."""
    run()
    count = max(int(seconds / _ROUNDS / _timed(run, 2)), 1)
    return 1000 * min(_timed(run, count) for _ in range(_ROUNDS))


def _timed(run: Pass, count: int) -> float:
    _finish()
    began = time.perf_counter()
    for _ in range(count):
        run()
    _finish()
    return (time.perf_counter() - began) / count


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
