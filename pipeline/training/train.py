"""The training loop."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn

from ..datasets.manifest import Manifest
from ..errors import UserError
from ..files.atomic import write_text
from ..models.card import ModelCard
from ..models.device import choose_device, has_bf16
from ..models.network import head_name
from ..models.weights import Start, write_model
from ..params import Model, Train
from ..progress import progress
from .augmentation import augmented_batch, draw_changes, plain_batch
from .checkpoint import Checkpoints
from .curves import Curves
from .images import decode_for_testing, decode_for_training
from .loss import class_losses, masked_loss
from .moving_average import MovingAverage
from .optimizer import build_optimizer
from .schedule import rate_factor
from .validation import mean_average_precision

# raise it when the same recipe would give other weights, so that no old checkpoint is taken up
_LOOP_VERSION = 1
_STEPS_BETWEEN_CHECKS_ON_CUDA = 20  # reading the loss makes the host wait for the device


@dataclasses.dataclass(frozen=True)
class Images:
    """Decoded images of a split and their labels."""

    pixels: list[np.ndarray]
    labels: torch.Tensor


@dataclasses.dataclass
class _State:
    """All that a training carries from one epoch to the next."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    history: list[dict[str, float]]
    best: dict[str, torch.Tensor] | None = None

    def saved(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state if self.average else None,
            "history": self.history,
            "best": self.best,
        }

    def load(self, saved: dict[str, Any]) -> None:
        self.network.load_state_dict(saved["network"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average:
            for name, value in saved["average"].items():
                self.average.state[name].copy_(value)
        self.history = saved["history"]
        self.best = saved["best"]

    def result(self) -> dict[str, torch.Tensor]:
        """The weights that this epoch would be kept with."""
        return self.average.state if self.average else self.network.state_dict()


def train_model(
    name: str,
    model: Model,
    start: Start,
    train: Manifest,
    val: Manifest | None,
    *,
    root: Path,
    model_dir: Path,
    curves_dir: Path,
    metrics_file: Path,
    checkpoint_dir: Path = Path(".cache/training"),
) -> ModelCard:
    """Train `start.network` by the recipe `models.<name>.train` and write the model's folder.

    The state after each epoch is kept under `checkpoint_dir`; a training that was killed goes on from there
    and ends with the same bytes.

    Parameters
    ----------
    train : Manifest
        What to train on; the images of `val` are left out where the recipe says `hold_out`.
    val : Manifest or None
        What to measure on each epoch, where the recipe says `hold_out`.
    root : path
        The data set's root, which the manifests' paths start from.

    Raises
    ------
    UserError
        One line with the model's name, for what the data or the recipe make impossible.
    """
    recipe = model.train
    assert recipe is not None
    held_out = val if recipe.hold_out else None
    if held_out is not None:
        train = train.take(~np.isin(train.ids, held_out.ids))
    _check_labels(name, train)
    device = choose_device(recipe.device, f"models.{name}.train.device")
    bf16 = _uses_bf16(name, recipe, device)
    checkpoints = Checkpoints(
        checkpoint_dir, name, _digest(model, start.network, train, held_out, device, bf16)
    )
    with _reproducible(name, recipe.deterministic, device):
        run = _Run(name, model, start, device, bf16, checkpoints)
        state = run.train(train, held_out, root, curves_dir)
    card = write_model(
        model_dir,
        state.best if state.best is not None else state.result(),
        architecture=model.architecture,
        outputs=len(start.classes),
        crop=model.preprocess.crop,
        classes=start.classes,
        origin=start.origin,
        recipe=msgspec.json.decode(msgspec.json.encode(recipe)),
    )
    write_metrics(metrics_file, state.history, recipe)
    checkpoints.remove()
    return card


def write_metrics(path: Path, history: list[dict[str, float]], recipe: Train | None) -> None:
    """Write the DVC metrics of a training, or of a model that was not trained (an empty history)."""
    metrics: dict[str, float] = {"epochs": len(history)}
    if history and recipe:
        kept = best_epoch(history) if recipe.keep == "best" else len(history) - 1
        metrics |= {"kept_epoch": kept + 1} | {k: v for k, v in history[kept].items() if k != "lr"}
    write_text(path, json.dumps(metrics, indent=2, sort_keys=True) + "\n")


def best_epoch(history: list[dict[str, float]]) -> int:
    """The first of the epochs with the highest mAP on val."""
    return max(range(len(history)), key=lambda epoch: history[epoch]["val_map"])


class _Run:
    """One training in one process."""

    def __init__(
        self,
        name: str,
        model: Model,
        start: Start,
        device: torch.device,
        bf16: bool,
        checkpoints: Checkpoints,
    ) -> None:
        assert model.train is not None
        self.name, self.classes = name, start.classes
        self.recipe, self.preprocess = model.train, model.preprocess
        self.device, self.bf16, self.checkpoints = device, bf16, checkpoints
        network = start.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = network.get_submodule(head_name(network))
        if self.recipe.freeze == "trunk":
            network.requires_grad_(False)
            self.head.requires_grad_(True)
        self.state = _State(
            network=network,
            optimizer=build_optimizer(network, self.recipe),
            average=MovingAverage(network, self.recipe.ema) if self.recipe.ema else None,
            history=[],
        )

    def train(self, train: Manifest, val: Manifest | None, root: Path, curves_dir: Path) -> _State:
        state, recipe = self.state, self.recipe
        if saved := self.checkpoints.read():
            state.load(saved)
            if len(state.history) < recipe.epochs:
                print(f"pool5: model {self.name}: going on after epoch {len(state.history)}", file=sys.stderr)
        curves = Curves(curves_dir, state.history)
        if len(state.history) < recipe.epochs:
            images = self._images(train, root, decode_for_training)
            held_out = self._images(val, root, decode_for_testing) if val is not None else None
            sizes = torch.tensor([image.shape[:2] for image in images.pixels])
            self._epochs(images, sizes, held_out, curves)
        curves.close()
        return state

    def _images(self, manifest: Manifest, root: Path, decode: Any) -> Images:
        paths = [root / path for path in manifest.paths]
        pixels = decode(paths, self.preprocess, self.checkpoints.path.parent)
        return Images(pixels, torch.from_numpy(manifest.labels))

    def _epochs(self, images: Images, sizes: torch.Tensor, held_out: Images | None, curves: Curves) -> None:
        state, recipe = self.state, self.recipe
        steps = max(len(images.pixels) // recipe.batch_size, 1)
        done = len(state.history) * steps * recipe.batch_size
        began, first = time.monotonic(), len(state.history)
        with progress(
            total=recipe.epochs * steps * recipe.batch_size, initial=done, unit="image", desc=self.name
        ) as bar:
            for epoch in range(first, recipe.epochs):
                metrics = self._epoch(epoch, steps, images, sizes, bar)
                if held_out is not None:
                    metrics["val_map"] = self._validate(held_out)
                state.history.append(metrics)
                if recipe.keep == "best" and best_epoch(state.history) == epoch:
                    state.best = {key: value.clone() for key, value in state.result().items()}
                self.checkpoints.write(state.saved())
                curves.add(metrics)
        rate = (recipe.epochs - first) * steps * recipe.batch_size / (time.monotonic() - began)
        shown = ", ".join(f"{key} {value:.4g}" for key, value in state.history[-1].items() if key != "lr")
        print(
            f"pool5: model {self.name}: epoch {recipe.epochs}: {shown}; {rate:.0f} images/s", file=sys.stderr
        )

    def _epoch(
        self, epoch: int, steps: int, images: Images, sizes: torch.Tensor, bar: Any
    ) -> dict[str, float]:
        recipe, state, device = self.recipe, self.state, self.device
        seed = _epoch_seed(recipe.seed, epoch)
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout and stochastic depth draw from the global generators
        order = torch.randperm(len(images.pixels), generator=generator)
        changes = draw_changes(sizes, recipe.augment, self.preprocess.crop, generator)
        check_every = _STEPS_BETWEEN_CHECKS_ON_CUDA if device.type == "cuda" else 1
        total = torch.zeros((), device=device)
        self._choose_what_learns(epoch)
        for step in range(steps):
            rows = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            labels = images.labels[rows].to(device, non_blocking=True)
            batch = augmented_batch(
                [images.pixels[row] for row in rows.tolist()], changes.take(rows), self.preprocess, device
            )
            factor = rate_factor(epoch * steps + step, steps, recipe)
            for group in state.optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
            with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                logits = state.network(batch)
            loss = masked_loss(logits, labels)
            total += loss.detach()
            if (step + 1) % check_every == 0 or step + 1 == steps:
                self._check_loss(total, epoch, logits, labels)
                bar.set_postfix(self._postfix(total, step + 1), refresh=False)
            state.optimizer.zero_grad()
            loss.backward()
            state.optimizer.step()
            if state.average:
                state.average.update(state.network, epoch * steps + step)
            bar.update(recipe.batch_size)
        return {"loss": float(total) / steps, "lr": recipe.lr * factor}

    def _postfix(self, total: torch.Tensor, steps: int) -> dict[str, str]:
        shown = {"loss": f"{float(total) / steps:.3f}"}
        if self.state.history and "val_map" in self.state.history[-1]:
            shown["val mAP"] = f"{self.state.history[-1]['val_map']:.3f}"
        return shown

    def _choose_what_learns(self, epoch: int) -> None:
        """Set modes and gradients for an epoch.

        A frozen trunk is frozen whole: its BatchNorm keeps its statistics, its dropout stays off.
        """
        network, recipe = self.state.network, self.recipe
        head_alone = recipe.freeze == "trunk" or epoch < recipe.head_epochs
        network.train(not head_alone).requires_grad_(not head_alone)
        self.head.train().requires_grad_(True)
        if recipe.freeze == "statistics":
            for module in network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def _check_loss(
        self, total: torch.Tensor, epoch: int, logits: torch.Tensor, labels: torch.Tensor
    ) -> None:
        if math.isfinite(float(total)):
            return
        bad = ~class_losses(logits.detach(), labels).isfinite().all(0)
        which = [c for c, is_bad in zip(self.classes, bad.tolist(), strict=True) if is_bad]
        where = "every class" if len(which) in (0, len(self.classes)) else ", ".join(which)
        raise UserError(
            f"model {self.name}: the loss is not a number in epoch {epoch + 1}, for {where}; lower "
            f"models.{self.name}.train.lr ({self.recipe.lr:g}) or lengthen warmup_epochs"
        )

    @torch.inference_mode()
    def _validate(self, held_out: Images) -> float:
        """MAP on val of the weights that would be kept now."""
        network = self.state.network
        if self.state.average:
            network = copy.deepcopy(network)
            network.load_state_dict(self.state.average.state)
        network.eval()
        logits = []
        size = self.recipe.batch_size
        for first in range(0, len(held_out.pixels), size):
            batch = plain_batch(held_out.pixels[first : first + size], self.preprocess, self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                logits.append(network(batch).float().cpu())
        return mean_average_precision(torch.cat(logits).numpy(), held_out.labels.numpy())


def _epoch_seed(seed: int, epoch: int) -> int:
    digest = hashlib.blake2b(f"{seed} {epoch}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big")


def _check_labels(name: str, train: Manifest) -> None:
    if len(train) == 0:
        raise UserError(
            f"model {name}: no image to train on in split {train.split}; check train.split, hold_out"
        )
    without = [c for c, there in zip(train.classes, (train.labels == 1).any(0), strict=True) if not there]
    if len(without) == len(train.classes):
        raise UserError(f"model {name}: no image of split {train.split} has any class; check its annotation")
    if without:
        print(
            f"pool5: model {name}: no positive image in split {train.split} for {', '.join(without)}: "
            "it learns to say no there",
            file=sys.stderr,
        )


def _uses_bf16(name: str, recipe: Train, device: torch.device) -> bool:
    if recipe.precision == "auto":
        return has_bf16(device)
    if recipe.precision == "bf16" and not has_bf16(device):
        print(
            f"pool5: model {name}: this {device.type} has no bf16 arithmetic and emulates it slowly; "
            f"models.{name}.train.precision: auto chooses what is fast",
            file=sys.stderr,
        )
    return recipe.precision == "bf16"


def _digest(
    model: Model,
    network: nn.Module,
    train: Manifest,
    val: Manifest | None,
    device: torch.device,
    bf16: bool,
) -> str:
    """Of everything that decides the weights that come out."""
    settings = {
        "loop": _LOOP_VERSION,
        "torch": torch.__version__,
        "architecture": model.architecture,
        "preprocess": msgspec.to_builtins(model.preprocess),
        "recipe": msgspec.to_builtins(model.train),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "bf16": bf16,
    }
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    for manifest in (train, val):
        if manifest is not None:
            digest.update("\n".join(manifest.ids).encode())
            digest.update(manifest.digests.tobytes())
            digest.update(manifest.labels.tobytes())
        digest.update(b"\0")
    return digest.hexdigest()


@contextlib.contextmanager
def _reproducible(name: str, deterministic: bool, device: torch.device) -> Iterator[None]:
    """Deterministic algorithms where asked for; torch's global state is as before afterwards."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    # cuBLAS reads it when it starts
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not deterministic
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    except torch.OutOfMemoryError:
        raise UserError(
            f"model {name}: the memory of {device} is too small; lower models.{name}.train.batch_size"
        ) from None
    except RuntimeError as error:
        if "does not have a deterministic implementation" not in str(error):
            raise
        operation = str(error).split()[0]
        raise UserError(
            f"model {name}: {operation} is not deterministic on {device.type}; set "
            f"models.{name}.train.deterministic: false, or train on the cpu"
        ) from None
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
