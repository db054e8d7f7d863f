"""The learning rate over a training."""

from __future__ import annotations

import functools
import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..params import Train


def learning_rates(optimizer: Optimizer, recipe: Train, steps_per_epoch: int, done: int = 0) -> LambdaLR:
    """The rates of a training that has `done` steps behind it; each group keeps its own base."""
    factor = functools.partial(rate_factor, steps_per_epoch=steps_per_epoch, recipe=recipe)
    return LambdaLR(optimizer, factor, last_epoch=done - 1)


def rate_factor(step: int, steps_per_epoch: int, recipe: Train) -> float:
    """What the learning rate is multiplied with at a step, counted from 0.

    Linear warm-up over `warmup_epochs` (Goyal et al. 2017); then half a cosine down to 0 (Loshchilov and
    Hutter 2017), or a division by ten at each of `steps`, which are fractions of all epochs.
    """
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
    return 0.1 ** sum(step >= fraction * total for fraction in recipe.steps)
