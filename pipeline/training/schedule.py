"""The learning rate over a training."""

from __future__ import annotations

import math

from ..params import Train


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
