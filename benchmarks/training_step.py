"""CaffeNet's training step from decoded images, augmented, against a bare loop on ready tensors.

    python benchmarks/training_step.py [--crop 224] [--batch 32] [--precision bf16] [--rounds 3]

Both use the same network, optimizer, precision and threads. The two are run in turns, and the fastest run
of each is compared: what disturbs a machine only ever slows it down.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from benchmarks.host_memory import reuse_freed_memory
from pool5.models.device import choose_device, has_bf16
from pool5.models.network import build_network
from pool5.params import Augment, Preprocess, Train
from pool5.training.augmentation import augmented_batch, draw_changes
from pool5.training.loss import masked_loss
from pool5.training.optimizer import build_optimizer

_STEPS = 4


def training_rates(
    architecture: str,
    *,
    device: str,
    precision: str,
    crop: int,
    batch: int,
    rounds: int,
    steps: int = _STEPS,
) -> tuple[float, float]:
    """Images a second of both: with augmentation from decoded images, and on ready tensors."""
    where = torch.device(device)
    preprocess = Preprocess(resize=crop * 8 // 7, crop=crop)
    augment = Augment(scale=(0.2, 1.0), brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05)
    torch.manual_seed(0)
    network = build_network(architecture, 20, crop)
    network = network.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(network, Train(epochs=1, batch_size=batch, lr=1e-4, optimizer="adamw"))
    rng = np.random.default_rng(0)
    shape = (preprocess.resize, preprocess.resize * 4 // 3, 3)
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(batch)]
    sizes = torch.tensor([image.shape[:2] for image in images])
    labels = torch.from_numpy(rng.choice([-1, 0, 1], (batch, 20)).astype(np.int8)).to(where)
    changes = draw_changes(sizes, augment, crop, torch.Generator().manual_seed(0))
    ready = augmented_batch(images, changes, preprocess, where)

    def rate(augmenting: bool) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            pixels = augmented_batch(images, changes, preprocess, where) if augmenting else ready
            with torch.autocast(where.type, torch.bfloat16, enabled=precision == "bf16"):
                logits = network(pixels)
            optimizer.zero_grad()
            masked_loss(logits, labels).backward()
            optimizer.step()
        if where.type == "cuda":
            torch.cuda.synchronize()
        return steps * batch / (time.perf_counter() - began)

    rate(True)  # warm up
    rates = [(rate(True), rate(False)) for _ in range(rounds)]
    ours, bare = (max(column) for column in zip(*rates, strict=True))
    return ours, bare


def main() -> None:
    """Print the images/s of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    reuse_freed_memory()  # as the stages do
    device = choose_device("auto", "--device")
    precision = options.precision
    if precision == "auto":
        precision = "bf16" if has_bf16(device) else "fp32"
    ours, bare = training_rates(
        "caffenet",
        device=str(device),
        precision=precision,
        crop=options.crop,
        batch=options.batch,
        rounds=options.rounds,
    )
    print(f"CaffeNet {options.crop} px, batch {options.batch}, {precision}, {device}")
    print(f"with augmentation {ours:.1f} images/s, bare loop {bare:.1f} images/s, ratio {ours / bare:.3f}")


if __name__ == "__main__":
    main()
