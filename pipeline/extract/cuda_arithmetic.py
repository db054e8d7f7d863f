"""What must hold on CUDA for values to be the same again, and as near to the CPU's as their precision allows.

Set here, around every batch, whatever else in the process has set:

- fp32 is fp32: neither cuDNN nor cuBLAS uses TF32, and no setting for all of torch brings it back.
- cuDNN chooses a kernel by its own rules and not by a race of candidates, and only among those that give the
  same bits each time; where the memory has no room for what that needs, torch takes the next. No other
  operation of a forward pass that is in use here adds in a changing order.
- In half precision, sums are kept in fp32 to their end.

cuBLAS gives the same bits each time as long as one stream multiplies, as one does here; where several would,
it needs CUBLAS_WORKSPACE_CONFIG=:4096:8 in the environment, which also changes what it chooses, so that it
is left to who runs the program. Which kernels cuBLAS, cuDNN and attention choose does depend on how many
images a batch has, and their last bits on that: so the device sees batches of one size (`device_ring.Ring`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

_MATMUL, _CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn
_SETTINGS = (
    (torch.backends.mkldnn.matmul, "fp32_precision", "ieee"),  # type: ignore[attr-defined]
    (_CUDNN, "enabled", True),
    (_CUDNN, "benchmark", False),
    (_CUDNN, "deterministic", True),
    (_CUDNN.conv, "fp32_precision", "ieee"),  # type: ignore[attr-defined]
    (_CUDNN.rnn, "fp32_precision", "ieee"),
    (_MATMUL, "fp32_precision", "ieee"),
    (_MATMUL, "allow_fp16_accumulation", False),
    (_MATMUL, "allow_fp16_reduced_precision_reduction", False),
    (_MATMUL, "allow_bf16_reduced_precision_reduction", False),
)


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Compute so; torch's settings are as before afterwards, those that another one decided as it had."""
    before = [getattr(where, name) for where, name, _ in _SETTINGS]
    for where, name, value in _SETTINGS:
        setattr(where, name, value)
    # the older setting of the same: torch refuses to tell it, and to multiply, where the two differ
    matmul = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        for (where, name, _), value in zip(_SETTINGS, before, strict=True):
            setattr(where, name, value)
