"""Part f: a step of training from decoded images, beside a bare loop on ready tensors."""

from __future__ import annotations

from benchmarks.gpu_check.check import Check
from benchmarks.host_memory import reuse_freed_memory
from benchmarks.training_step import training_rates


def run(check: Check) -> None:
    """CaffeNet and ResNet-18, in both precisions."""
    reuse_freed_memory()  # as the stages do
    crop, batch, rounds = (80, 8, 1) if check.quick else (224, 256, 3) if check.on_card else (224, 32, 2)
    for architecture in ("caffenet", "resnet18"):
        rates = {}
        for precision in ("bf16", "fp32"):
            ours, bare = training_rates(
                architecture,
                device=check.device,
                precision=precision,
                crop=crop,
                batch=batch,
                rounds=rounds,
                steps=2 if check.quick else 8 if check.on_card else 4,
            )
            rates[precision] = ours
            what = f"{architecture}, {precision}, {crop} px, batches of {batch}"
            check.tell(what, images_a_second=ours, bare=bare, ratio=ours / bare)
        check.tell(f"{architecture}: bf16 over fp32", times=rates["bf16"] / rates["fp32"])
