"""The share of time in which a card computes, from traces that are made up."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks.card_trace import busy_share, computing_share, covered


def event(kind: str, begin: float, length: float) -> dict:
    return {"ph": "X", "cat": kind, "name": "some", "ts": begin, "dur": length}


def test_kernels_count_once_where_they_overlap_and_copies_not_at_all() -> None:
    trace = {
        "traceEvents": [
            {"ph": "M", "name": "process_name"},
            event("cuda_runtime", 0, 5000),
            event("gpu_memcpy", 500, 300),  # before the first kernel: it does not count
            event("kernel", 1000, 400),
            event("kernel", 1200, 400),  # on another stream
            event("kernel", 1300, 100),  # within it
            event("gpu_memcpy", 1500, 300),  # half of it beside a kernel
            event("kernel", 1900, 100),
            event("gpu_user_annotation", 1000, 1000),
            event("gpu_memset", 1990, 500),
        ]
    }
    assert computing_share(trace) == pytest.approx(0.7)  # 1000 to 1600, and 1900 to 2000


def test_a_trace_without_a_kernel() -> None:
    assert computing_share({"traceEvents": [event("gpu_memcpy", 0, 10)]}) is None


@pytest.mark.parametrize("seed", range(5))
def test_what_spans_cover_is_what_a_loop_counts(seed: int) -> None:
    draw = np.random.default_rng(seed)
    begins = draw.integers(0, 100, 30)
    spans = np.stack([begins, begins + draw.integers(0, 10, 30)], 1).astype(float)
    inside = {moment for begin, end in spans.astype(int).tolist() for moment in range(begin, end)}
    assert covered(spans) == len(inside)


def test_without_a_card_it_runs_and_nothing_computes() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    ran = []
    assert busy_share(lambda: ran.append(True)) is None
    assert ran


@pytest.mark.gpu
def test_on_a_card_a_wait_between_kernels_is_seen() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    values = torch.randn(4096, 4096, device="cuda")

    def compute(count: int) -> None:
        for _ in range(count):
            values @ values
        torch.cuda.synchronize()

    def with_a_wait() -> None:
        compute(20)
        time.sleep(0.3)
        compute(20)

    compute(3)
    assert busy_share(lambda: compute(50)) > 0.8
    assert busy_share(with_a_wait) < 0.5
