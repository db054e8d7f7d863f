"""The learning rate over a training."""

from __future__ import annotations

import math

import pytest
import torch

from pool5.params import Train
from pool5.training.schedule import learning_rates, rate_factor


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


@pytest.mark.parametrize("done", [0, 7])
def test_every_group_keeps_its_own_base_and_a_training_goes_on_where_it_was(done):
    recipe = Train(epochs=5, batch_size=1, lr=0.1, warmup_epochs=1)
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.1, 1.0)]
    optimizer = torch.optim.SGD(groups)
    rates = learning_rates(optimizer, recipe, 4)
    for _ in range(done):
        optimizer.step()
        rates.step()
    saved = optimizer.state_dict()
    again = torch.optim.SGD(groups)
    again.load_state_dict(saved)
    rates = learning_rates(again, recipe, 4, done)
    for step in range(done, 20):
        assert [g["lr"] for g in again.param_groups] == [b * rate_factor(step, 4, recipe) for b in (0.1, 1.0)]
        again.step()
        rates.step()
