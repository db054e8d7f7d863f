"""On a card: the values of the CPU, in bits that neither neighbors nor the end of a run decide."""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from test_forward import resnet
from torch import nn

from pool5.errors import UserError
from pool5.extract.forward import Forward
from pool5.models.network import build_network
from pool5.params import Extract, Layer, Preprocess

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]
WITHIN = {"fp32": 1e-3, "bf16": 2e-2}  # of the largest value
NETWORKS = {"caffenet": "fc7", "resnet18": "flatten", "vit_b_16": "getitem_5"}
SIDE = 224
BATCH = 16


@functools.cache
def network_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    return resnet() if name == "resnet18" else build_network(name, 20).eval()


def pixels(count: int, seed: int = 0) -> np.ndarray:
    """Smooth pictures, as photographs are: noise would give the same mean everywhere."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(SIDE // 8, axis=1).repeat(SIDE // 8, axis=2)


def forward(name: str, device: str, precision: str = "fp32", batch: int = BATCH) -> Forward:
    extract = Extract(device=device, precision=precision, batch_size=batch)
    layer = Layer(node=NETWORKS[name])
    return Forward(network_of(name), [layer], Preprocess(resize=SIDE, crop=SIDE), extract)


def rows(run: Forward, images: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """(N, D), of batches that are started ahead as the extraction does."""
    waits, found = [], []
    for start in range(0, len(images), batch):
        waits.append(run.start(images[start : start + batch].copy()))
        if len(waits) > run.in_flight:
            found.append(waits.pop(0)())
    found += [wait() for wait in waits]
    (layer,) = found[0]
    return np.concatenate([some[layer] for some in found])


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, as a share of the largest value."""
    return float(np.abs(one - other).max() / np.abs(other).max())


@functools.cache
def on_the_cpu(name: str) -> np.ndarray:
    return rows(forward(name, "cpu"), pixels(BATCH))


@pytest.mark.parametrize("precision", WITHIN)
@pytest.mark.parametrize("name", NETWORKS)
def test_values_are_the_cpus(name: str, precision: str) -> None:
    found = rows(forward(name, "cuda", precision), pixels(BATCH))
    assert apart(found, on_the_cpu(name)) < WITHIN[precision]


@pytest.mark.parametrize("precision", WITHIN)
@pytest.mark.parametrize("name", NETWORKS)
def test_bits_depend_neither_on_neighbors_nor_on_places_nor_on_how_many_are_left(
    name: str, precision: str
) -> None:
    images = pixels(80)
    run = forward(name, "cuda", precision, batch=32)
    whole = rows(run, images, 32)
    assert np.isfinite(whole).all()
    np.testing.assert_array_equal(rows(forward(name, "cuda", precision, batch=32), images, 32), whole)
    order = np.random.default_rng(1).permutation(len(images))
    np.testing.assert_array_equal(rows(run, images[order], 32), whole[order])
    np.testing.assert_array_equal(rows(run, images[:3], 32), whole[:3])
    np.testing.assert_array_equal(rows(run, images[40:41], 32), whole[40:41])


@pytest.mark.parametrize("precision", WITHIN)
@pytest.mark.parametrize("name", NETWORKS)
def test_another_batch_size_moves_no_more_than_the_last_bits(name: str, precision: str) -> None:
    images = pixels(64)
    small, large = (rows(forward(name, "cuda", precision, batch=b), images, b) for b in (16, 64))
    assert apart(small, large) < {"fp32": 3e-5, "bf16": 2e-2}[precision]


def test_many_batches_in_flight_arrive_as_they_were_sent() -> None:
    """Each value is a pixel: a buffer that is written too early would show."""
    layer, plain = Layer(node="1"), nn.Sequential(nn.Identity(), nn.Flatten())
    preprocess = Preprocess(resize=32, crop=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    run = Forward(plain, [layer], preprocess, Extract(device="cuda", batch_size=256))
    draw = np.random.default_rng(0)
    images = np.zeros((256, 32, 32, 3), np.uint8)
    sent, waits = [], []
    for _ in range(40):
        images[:] = draw.integers(0, 256, images.shape, dtype=np.uint8)
        sent.append(images.copy())
        waits.append(run.start(images))
    for expected, wait in zip(sent, waits, strict=True):
        found = np.rint(wait()[layer] * 255).reshape(256, 3, 32, 32).transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(found, expected)


def test_pixels_that_are_on_the_card_give_the_same_bits() -> None:
    run, images = forward("resnet18", "cuda"), pixels(BATCH)
    found = run.start(torch.from_numpy(images).to(run.where))()
    np.testing.assert_array_equal(found[Layer(node="flatten")], rows(run, images))


def test_settings_of_the_process_do_not_decide_values() -> None:
    expected = rows(forward("resnet18", "cuda"), pixels(BATCH))
    convolutions, products = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = convolutions.fp32_precision, products.fp32_precision, torch.backends.cudnn.benchmark
    try:
        convolutions.fp32_precision = products.fp32_precision = "tf32"
        torch.backends.cudnn.benchmark = True
        found = rows(forward("resnet18", "cuda"), pixels(BATCH))
        assert (convolutions.fp32_precision, torch.backends.cudnn.benchmark) == ("tf32", True)
    finally:
        convolutions.fp32_precision, products.fp32_precision, torch.backends.cudnn.benchmark = before
    np.testing.assert_array_equal(found, expected)


def give_back() -> None:
    """Networks of earlier tests may refer to themselves; what they held goes back to the card."""
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()


@contextlib.contextmanager
def no_more_memory_than(size: int) -> Iterator[None]:
    """Let PyTorch take so many bytes of the card."""
    give_back()
    torch.cuda.set_per_process_memory_fraction(size / torch.cuda.mem_get_info()[1])
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        give_back()


def peak_of(batch: int) -> int:
    """Bytes that PyTorch holds when batches of that size have been computed."""
    give_back()
    torch.cuda.reset_peak_memory_stats()
    rows(forward("resnet18", "cuda", batch=batch), pixels(batch), batch)
    torch.cuda.synchronize()
    return torch.cuda.max_memory_reserved()


def test_a_batch_above_the_cards_memory_goes_on_in_halves(caplog: pytest.LogCaptureFixture) -> None:
    images = pixels(256)
    expected = rows(forward("resnet18", "cuda", batch=256), images, 256)
    small, large = peak_of(64), peak_of(256)
    with no_more_memory_than((small + large) // 2):
        run = forward("resnet18", "cuda", batch=256)
        found = rows(run, images, 256)
        np.testing.assert_array_equal(rows(run, images, 256), found)
        del run
    (told,) = [line for line in caplog.messages if "extract.batch_size" in line]
    assert "does not hold 256 images at once; it goes on with" in told
    assert apart(found, expected) < 3e-5


def test_a_network_above_the_cards_memory_is_one_line() -> None:
    wide = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 1 << 16))  # 800 MB
    give_back()
    with (
        no_more_memory_than(torch.cuda.memory_reserved() + (64 << 20)),
        pytest.raises(UserError, match=r"^the network: CUDA out of memory.*; take another extract\.device$"),
    ):
        Forward(wide, [Layer(node="1")], Preprocess(resize=32, crop=32), Extract(device="cuda"))
