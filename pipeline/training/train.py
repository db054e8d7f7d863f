"""The training loop."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..datasets.manifest import Manifest
from ..errors import UserError
from ..images.address import Address
from ..measures.average_precision import mean_average_precision
from ..models.device import choose_device, has_bf16
from ..models.network import head_names
from ..models.weights import Start, write_model
from ..params import Model, Train
from ..progress import progress
from ..project import Project
from ..results.training import Epoch, TrainingResult
from .augmentation import augmented_batch, draw_changes, plain_batch
from .checkpoint import Checkpoints, State
from .curves import write_curves
from .images import decode_for_testing, decode_for_training
from .loss import class_losses, masked_loss
from .moving_average import moving_average
from .optimizer import build_optimizer
from .reproducible import epoch_seed, reproducible, training_digest
from .schedule import learning_rates, rate_factor

_STEPS_BETWEEN_CHECKS_ON_CUDA = 20  # reading the loss makes the host wait for the device
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Examples:
    """Decoded images of a split and their labels."""

    pixels: list[np.ndarray]
    labels: torch.Tensor


def train_model(
    name: str,
    model: Model,
    start: Start,
    train: Manifest,
    held_out: Manifest | None,
    project: Project,
    root: str,
) -> TrainingResult:
    """Train `start.network` by the recipe `models.<name>.train` and write the model's folder and curves.

    The state after each epoch is kept among the project's checkpoints; a training that was killed goes on
    from there and ends with the same bytes.

    Parameters
    ----------
    train : Manifest
        What to train on.
    held_out : Manifest or None
        What to measure on after each epoch.
    root : path
        That the manifests' paths start from.

    Raises
    ------
    UserError
        One line with the model's name, for what the data or the recipe make impossible.
    """
    recipe = model.train
    assert recipe is not None
    device = choose_device(recipe.device, f"models.{name}.train.device")
    bf16 = _uses_bf16(name, recipe, device)
    digest = training_digest(model, start.network, train, held_out, device, bf16)
    checkpoints = Checkpoints(project.checkpoints, name, digest)
    with reproducible(name, recipe.deterministic, device):
        run = _Run(name, model, start, device, bf16, checkpoints)
        state = run.train(train, held_out, root, project.report("training", name))
    write_model(
        project.model(name),
        state.best if state.best is not None else state.candidate.state_dict(),
        start.card,
    )
    checkpoints.remove()
    kept = best_epoch(state.history) if recipe.keep == "best" else recipe.epochs - 1
    return TrainingResult(
        model=name,
        classes=start.card.classes,
        images=len(train),
        epochs=len(state.history),
        kept_epoch=kept + 1,
        history=tuple(state.history),
    )


def best_epoch(history: list[Epoch]) -> int:
    """The first of the epochs with the highest mAP on val, counted from 0."""

    def score(epoch: int) -> float:
        val_map = history[epoch].val_map
        return -math.inf if val_map is None else val_map

    return max(range(len(history)), key=score)


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
        self.name, self.classes = name, start.card.classes
        self.recipe, self.preprocess = model.train, model.transform
        self.device, self.bf16, self.checkpoints = device, bf16, checkpoints
        network = start.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.heads = [network.get_submodule(name) for name in head_names(network)]
        if self.recipe.freeze == "trunk":
            network.requires_grad_(False)
            for head in self.heads:
                head.requires_grad_(True)
        average = moving_average(network, self.recipe.ema) if self.recipe.ema else None
        self.state = State(network, build_optimizer(network, self.recipe), average)

    def train(self, train: Manifest, val: Manifest | None, root: str, curves: Path) -> State:
        state, recipe = self.state, self.recipe
        if saved := self.checkpoints.read():
            state.load(saved)
            if len(state.history) < recipe.epochs:
                _log.info("model %s: going on after epoch %d", self.name, len(state.history))
        # DVC has removed a stage's outputs before it runs it again
        write_curves(curves, state.history)
        if len(state.history) < recipe.epochs:
            examples = self._examples(train, root, decode_for_training)
            held_out = self._examples(val, root, decode_for_testing) if val is not None else None
            self._epochs(examples, held_out, curves)
        return state

    def _examples(self, manifest: Manifest, root: str, decode: Callable[..., list[np.ndarray]]) -> Examples:
        paths = [Address.parse(path, root) for path in manifest.paths.tolist()]
        pixels = decode(paths, self.preprocess, self.checkpoints.path.parent)
        return Examples(pixels, torch.from_numpy(np.asarray(manifest.labels)))

    def _epochs(self, examples: Examples, held_out: Examples | None, curves: Path) -> None:
        state, recipe = self.state, self.recipe
        steps = max(len(examples.pixels) // recipe.batch_size, 1)
        images = steps * recipe.batch_size  # of an epoch
        began, first = time.monotonic(), len(state.history)
        rates = learning_rates(state.optimizer, recipe, steps, first * steps)
        sizes = torch.tensor([image.shape[:2] for image in examples.pixels])
        with progress(
            total=recipe.epochs * images, initial=first * images, unit="image", desc=self.name
        ) as bar:
            for epoch in range(first, recipe.epochs):
                loss = self._epoch(epoch, steps, examples, sizes, rates, bar)
                rate = recipe.lr * rate_factor((epoch + 1) * steps - 1, steps, recipe)
                val_map = None if held_out is None else self._validate(held_out)
                state.history.append(Epoch(loss=loss, lr=rate, val_map=val_map))
                if recipe.keep == "best" and best_epoch(state.history) == epoch:
                    state.best = {key: value.clone() for key, value in state.candidate.state_dict().items()}
                self.checkpoints.write(state.saved())
                write_curves(curves, state.history)
        last = state.history[-1]
        shown = f"loss {last.loss:.4g}" + ("" if last.val_map is None else f", val_map {last.val_map:.4g}")
        speed = (recipe.epochs - first) * images / (time.monotonic() - began)
        _log.info("model %s: epoch %d: %s; %.0f images/s", self.name, recipe.epochs, shown, speed)

    def _epoch(
        self, epoch: int, steps: int, examples: Examples, sizes: torch.Tensor, rates: Any, bar: Any
    ) -> float:
        """Train for an epoch; gives its mean loss."""
        recipe, state, device = self.recipe, self.state, self.device
        seed = epoch_seed(recipe.seed, epoch)
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout and stochastic depth draw from the global generators
        order = torch.randperm(len(examples.pixels), generator=generator)
        changes = draw_changes(sizes, recipe.augment, self.preprocess.crop, generator)
        check_every = _STEPS_BETWEEN_CHECKS_ON_CUDA if device.type == "cuda" else 1
        total = torch.zeros((), device=device)
        self._choose_what_learns(epoch)
        for step in range(steps):
            rows = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            labels = examples.labels[rows].to(device, non_blocking=True)
            batch = augmented_batch(
                [examples.pixels[row] for row in rows.tolist()], changes.take(rows), self.preprocess, device
            )
            with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                logits = state.network(batch)
            loss = masked_loss(logits, labels)
            total += loss.detach()
            if (step + 1) % check_every == 0 or step + 1 == steps:
                self._check_loss(total, epoch, logits, labels)
                bar.set_postfix(self._postfix(total, step + 1), refresh=False)
            state.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            state.optimizer.step()
            rates.step()
            if state.average:
                state.average.update_parameters(state.network)
            bar.update(recipe.batch_size)
        return float(total) / steps

    def _postfix(self, total: torch.Tensor, steps: int) -> dict[str, str]:
        shown = {"loss": f"{float(total) / steps:.3f}"}
        last = self.state.history[-1].val_map if self.state.history else None
        return shown if last is None else shown | {"val mAP": f"{last:.3f}"}

    def _choose_what_learns(self, epoch: int) -> None:
        """Set modes and gradients for an epoch.

        A frozen trunk is frozen whole: its BatchNorm keeps its statistics, its dropout stays off.
        """
        network, recipe = self.state.network, self.recipe
        head_alone = recipe.freeze == "trunk" or epoch < recipe.head_epochs
        network.train(not head_alone).requires_grad_(not head_alone)
        for head in self.heads:
            head.train().requires_grad_(True)
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
    def _validate(self, held_out: Examples) -> float | None:
        """MAP on val of the network that would be kept now; None where no class has a positive image."""
        network = self.state.candidate.eval()
        logits = []
        size = self.recipe.batch_size
        for first in range(0, len(held_out.pixels), size):
            batch = plain_batch(held_out.pixels[first : first + size], self.preprocess, self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                logits.append(network(batch).float().cpu())
        found = mean_average_precision(torch.cat(logits).numpy(), held_out.labels.numpy(), "sklearn")
        return found if math.isfinite(found) else None


def _uses_bf16(name: str, recipe: Train, device: torch.device) -> bool:
    if recipe.precision == "auto":
        return has_bf16(device)
    if recipe.precision == "bf16" and not has_bf16(device):
        _log.warning(
            "model %s: this %s has no bf16 arithmetic and emulates it slowly; "
            "models.%s.train.precision: auto chooses what is fast",
            name,
            device.type,
            name,
        )
    return recipe.precision == "bf16"
