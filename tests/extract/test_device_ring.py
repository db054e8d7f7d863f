"""Batches arrive as they were sent, whatever the pace of copies and of what is computed."""

from __future__ import annotations

import collections
import weakref

import numpy as np
import pytest
import torch
from fake_device import EagerDevice, FakeDevice, Mark
from torch import nn

from pool5.extract import forward as forward_module
from pool5.extract.device_ring import Ring
from pool5.extract.forward import Forward
from pool5.params import Extract, Layer, Preprocess

LAYER = Layer(node="x")
SHAPE = (4, 2, 2, 3)
SEEDS = range(60)


def pass_through(device: FakeDevice, seed: int, count: int = 12) -> list[tuple[np.ndarray, np.ndarray]]:
    """(sent, arrived) of some batches, from one array: as few ahead as the extraction sends, or more."""
    draw, ring = np.random.default_rng(seed), Ring(device, SHAPE)
    ahead = ring.in_flight if seed % 2 else 6
    images = np.zeros(SHAPE, np.uint8)
    sent: list[np.ndarray] = []
    waits: collections.deque = collections.deque()
    arrived = []
    for number in range(count):
        images[:] = draw.integers(0, 256, SHAPE)  # what was there has been sent, or is lost
        size = SHAPE[0] if number % 3 else 1 + number % SHAPE[0]
        sent.append(images[:size].copy())
        with ring.there(images[:size]) as there:
            value = torch.zeros(SHAPE, dtype=torch.uint8)
            device.compute(lambda value=value, there=there: value.copy_(there))
            waits.append(ring.fetch({LAYER: value[:size]}))
        device.idle()
        while len(waits) > ahead:
            arrived.append(waits.popleft()()[LAYER])
    arrived += [wait()[LAYER] for wait in waits]
    return list(zip(sent, arrived, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_what_arrives_is_what_was_sent(seed: int) -> None:
    for sent, arrived in pass_through(FakeDevice(seed), seed):
        np.testing.assert_array_equal(sent, arrived)


class OverwritesHost(FakeDevice):
    """Buffers of the host are written again while the copy from them is yet to come."""

    def wait(self, mark: Mark) -> None:
        if mark not in self.sent:
            super().wait(mark)

    sent: tuple[Mark, ...] = ()

    def send(self, host: torch.Tensor, there: torch.Tensor, after: Mark) -> Mark:
        mark = super().send(host, there, after)
        self.sent = (*self.sent, mark)
        return mark


class OverwritesDevice(FakeDevice):
    """Buffers of the device are written again before they are read."""

    def send(self, host: torch.Tensor, there: torch.Tensor, after: Mark) -> Mark:
        return super().send(host, there, Mark(come=True))


class ReadsTooEarly(FakeDevice):
    """What is computed does not wait for the copy."""

    def hold(self, mark: Mark) -> None:
        pass


class FetchesTooEarly(FakeDevice):
    """The copy back does not wait for what is computed."""

    def fetch(self, values, after: Mark):
        return super().fetch(values, Mark(come=True))


@pytest.mark.parametrize("kind", [OverwritesHost, OverwritesDevice, ReadsTooEarly, FetchesTooEarly])
def test_each_wait_is_needed(kind: type[FakeDevice]) -> None:
    """The fake device tells: without any one of them some pace gives other pixels."""
    batches = [pair for seed in SEEDS for pair in pass_through(kind(seed), seed)]
    assert any(not np.array_equal(sent, arrived) for sent, arrived in batches)


def test_images_that_are_on_the_device_are_taken_as_they_are_and_filled_up() -> None:
    ring, images = Ring(EagerDevice(), SHAPE), torch.ones(SHAPE, dtype=torch.uint8)
    with ring.there(images) as there:
        assert there is images
    with ring.there(images[:3]) as there:
        assert there.shape == SHAPE
        assert there.sum((1, 2, 3)).tolist() == [12, 12, 12, 0]


def test_more_images_than_a_buffer_holds_are_refused() -> None:
    with (
        pytest.raises(ValueError, match="5 images, and buffers of 4"),
        Ring(EagerDevice(), SHAPE).there(np.zeros((5, 2, 2, 3), np.uint8)),
    ):
        pass


@pytest.mark.parametrize("seed", range(5))
def test_a_network_behind_a_ring_has_the_bits_that_it_has_without(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network, end = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten()), Layer(node="2")
    settings = Preprocess(resize=32, crop=32), Extract(device="cpu", batch_size=30)
    plain = Forward(network, [end], *settings)
    monkeypatch.setattr(
        forward_module, "path_to", lambda device, batch: Ring(EagerDevice(seed), check(batch))
    )

    def check(batch: tuple[int, ...]) -> tuple[int, ...]:
        assert batch == (32, 32, 32, 3)
        return batch

    behind = Forward(network, [end], *settings)
    draw = np.random.default_rng(seed)
    batches = [draw.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8) for n in (32, 32, 16, 32, 1, 32)]
    expected = [plain.start(images)()[end] for images in batches]
    waits = []
    for images in batches[: behind.in_flight + 1]:
        waits.append(behind.start(images))
        images[:] = 0  # it may be overwritten
    found = [wait()[end] for wait in waits]
    found += [behind.start(images)()[end] for images in batches[behind.in_flight + 1 :]]
    for few, whole in zip(found, expected, strict=True):
        np.testing.assert_allclose(few, whole, rtol=1e-6, atol=1e-6)
        assert few.shape == whole.shape
    for one in (0, 1, 3, 5):
        np.testing.assert_array_equal(found[one], expected[one])


def test_values_that_are_on_their_way_are_not_held_on_the_device() -> None:
    device, layer = EagerDevice(0), Layer(node="end")
    ring = Ring(device, (16, 8, 8, 3))
    value = torch.zeros(16, 4)
    held = weakref.ref(value)
    wait = ring.fetch({layer: value})
    del value
    while device._step():
        pass
    assert held() is None
    assert wait()[layer].shape == (16, 4)
