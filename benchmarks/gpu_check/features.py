"""Part c: features of the card against the CPU's, and what must not decide their bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from torch import nn

from benchmarks.card_choices import choices_of
from benchmarks.gpu_check.check import Check
from benchmarks.gpu_check.drawn_network import drawn_network
from benchmarks.gpu_check.photographs import picture
from pool5.extract.forward import Forward
from pool5.params import Extract, Layer, Preprocess

# of the ViT the class token after the last norm: the drawn head of torchvision's gives nothing but zeros
_LAYERS = {
    "caffenet": ("pool5", "fc7", "logits"),
    "resnet18": ("layer3", "flatten", "fc"),
    "vit-s-16": ("getitem_5",),
}
_WITHIN = {"fp32": 1e-3, "bf16": 2e-2}  # of the largest value; both against the CPU in fp32
_BATCH = 32
_OTHER_BATCHES = (16, 64)  # multiples of 16, as extraction's are
# of the largest value between two settings of the batch size: a card takes other kernels for other sizes
_CLOSE = {"fp32": 3e-5, "bf16": 2e-2}
_CHOOSING = ("resnet18", "vit-s-16")
Values = Mapping[Layer, np.ndarray]
Make = Callable[..., Forward]


def run(check: Check) -> None:
    """Each network in both precisions."""
    crop, count = (80, _BATCH) if check.quick else (224, 2 * _BATCH)
    images = np.stack([picture(number, crop, crop) for number in range(count)])
    for name, nodes in _LAYERS.items():
        layers = [Layer(node=node) for node in nodes]
        make = partial(_forward, drawn_network(name, crop), layers, crop)
        expected = values_of(make("cpu", "fp32"), images, _BATCH)
        for precision in _WITHIN:
            what = f"{name}, {precision}"
            _one(check, what, partial(make, check.device, precision), images, expected)
    for name in _CHOOSING:  # last: a graph that cannot be recorded may leave the card unusable
        _tell_choices(check, name, [Layer(node=node) for node in _LAYERS[name]], crop)


def _forward(
    network: nn.Module, layers: list[Layer], crop: int, device: str, precision: str, batch: int = _BATCH
) -> Forward:
    extract = Extract(device=device, precision=precision, batch_size=batch)
    return Forward(network, layers, Preprocess(resize=crop, crop=crop), extract)


def _one(check: Check, what: str, make: Make, images: np.ndarray, expected: Values) -> None:
    precision = what.rpartition(" ")[2]
    forward = make()
    found = values_of(forward, images, _BATCH)
    for layer in expected:
        far, within = difference(expected[layer], found[layer]), _WITHIN[precision]
        why = "" if far <= within else f"{far:.2g} of the largest value from the CPU's; {within:g} is allowed"
        check.tell(f"{what}, {layer}", far <= within, of_largest=far, allowed=within, why=why)
    for how, values in _in_other_batches(forward, images).items():
        _tell_bits(check, f"{what}: {how}", found, values)
    for batch in _OTHER_BATCHES:
        values = values_of(make(batch), images, batch)
        close = _CLOSE[precision] if check.on_card else 0.0
        _tell_bits(check, f"{what}: batch_size {batch}", found, values, close)


def _in_other_batches(forward: Forward, images: np.ndarray) -> dict[str, Values]:
    """The rows once more, in the same order, from batches that must not decide their bits."""
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = values_of(forward, images[order], _BATCH)
    return {
        "again": values_of(forward, images, _BATCH),
        "other neighbors and places": {k: values[np.argsort(order)] for k, values in shuffled.items()},
        "shorter batches": values_of(forward, images, _BATCH // 2),
    }


def values_of(forward: Forward, images: np.ndarray, batch: int) -> Values:
    """{layer: (N, D)} of all images, the last batch filled up as extraction fills it."""
    parts = []
    for start in range(0, len(images), batch):
        some = images[start : start + batch]
        filled = np.concatenate([some, np.zeros((batch - len(some), *some.shape[1:]), np.uint8)])
        # copied: what a network gives may be overwritten by a later batch
        parts.append({layer: np.array(v[: len(some)]) for layer, v in forward.start(filled)().items()})
    return {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}


def _tell_bits(check: Check, what: str, one: Values, other: Values, within: float = 0.0) -> None:
    """Whether two are the same; to the bit, or `within` that share of the largest value."""
    far = max(difference(one[layer], other[layer]) for layer in one)
    same = all(one[layer].tobytes() == other[layer].tobytes() for layer in one)
    fine = same or far <= within
    why = "" if fine else f"other bits, {far:.2g} of the largest value apart"
    check.tell(what, fine, same_bits=same, of_largest=far, allowed=within, why=why)


def _tell_choices(check: Check, name: str, layers: list[Layer], crop: int) -> None:
    """What a CUDA graph, and channels first, would give, and whether in the same bits."""
    batches, seconds = ((16,), 0.01) if check.quick else ((32, 256), 0.1)
    for precision in _WITHIN:
        network = drawn_network(name, crop)
        for line in choices_of(
            network, layers, crop, precision, device=check.device, batches=batches, seconds=seconds
        ):
            check.tell(f"{name}, {precision}: other ways", **line)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, as a share of the largest value."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    return float(np.abs(one - other).max() / max(np.abs(one).max(), np.finfo(float).tiny))
