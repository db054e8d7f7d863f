"""The learning rate over a training."""

from __future__ import annotations

import math

import pytest
import torch

from pool5.params import Train
from pool5.training.schedule import rate_factor


def factors(**options) -> list[float]:
    recipe = Train(epochs=10, batch_size=1, lr=1.0, **options)
    return [rate_factor(step, 4, recipe) for step in range(40)]


def test_cosine_is_torchs_cosine_annealing():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
    for found in factors():
        assert found == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        schedule.step()


def test_steps_divide_by_ten():
    found = factors(schedule="step", steps=(0.5, 0.75))
    assert found == pytest.approx([1.0] * 20 + [0.1] * 10 + [0.01] * 10)


def test_warm_up_rises_in_even_steps_to_the_full_rate():
    found = factors(warmup_epochs=2)
    assert found[:9] == pytest.approx([n / 9 for n in range(1, 10)])
    assert found[8] == 1
    assert found[-1] == pytest.approx(0.5 * (1 + math.cos(math.pi * 31 / 32)))
