"""Networks of timm: timm's own values, and the same bits whichever way they are computed."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pool5.extract import inference_graph
from pool5.extract.forward import Forward
from pool5.models.hooks import HookedNetwork
from pool5.models.layers import nodes_of, shapes_of
from pool5.models.network import build_network
from pool5.models.node_values import nodes_in
from pool5.params import Extract, Layer, Preprocess

timm = pytest.importorskip("timm")

NETWORKS = [
    ("timm/test_vit", 96, "blocks.1"),
    ("timm/swin_tiny_patch4_window7_224", 64, "layers.2.blocks.0"),
    ("timm/test_convnext", 64, "stages.1"),
]
# no prefix tokens; a class token; that and a distillation token; that and four registers
TOKENS = [
    ("timm/vit_base_patch16_siglip_224", 32, "blocks.1", 0),
    ("timm/test_vit", 96, "blocks.1", 1),
    ("timm/deit_tiny_distilled_patch16_224", 32, "blocks.1", 2),
    ("timm/vit_small_patch16_dinov3", 32, "blocks.1", 5),
]


def built(architecture: str, crop: int) -> nn.Module:
    torch.manual_seed(0)
    return build_network(architecture, 10, crop).eval()


def forward(
    network: nn.Module, architecture: str, crop: int, layers: list[Layer], precision: str = "fp32"
) -> Forward:
    shapes = shapes_of(nodes_of(architecture, 10, crop, None, Path()), layers)
    extract = Extract(device="cpu", precision=precision)
    return Forward(network, layers, Preprocess(resize=crop, crop=crop), extract, shapes)


def pixels(crop: int, count: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, crop, crop, 3), dtype=np.uint8)


def as_tensors(images: np.ndarray) -> torch.Tensor:
    section = Preprocess(resize=1, crop=1)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (section.mean, section.std))
    return (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("architecture", "crop", "node"), NETWORKS)
def test_tracing_and_hooks_give_the_same_bits(monkeypatch, architecture, crop, node, precision):
    network, images = built(architecture, crop), pixels(crop, 16)
    layers = [Layer(node=node), Layer(node=node, pool="mean"), Layer(node="head")]
    traced = forward(network, architecture, crop, layers, precision).start(images)()
    monkeypatch.setattr(inference_graph, "nodes_in", HookedNetwork)
    hooked = forward(network, architecture, crop, layers, precision).start(images)()
    for layer in layers:
        np.testing.assert_array_equal(traced[layer], hooked[layer])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("architecture", "crop", "node"), NETWORKS)
def test_bits_do_not_depend_on_batch_neighbors_threads_or_other_nodes(architecture, crop, node, precision):
    network, images = built(architecture, crop), pixels(crop)
    layers = [Layer(node=node, pool=pool) for pool in ("flatten", "mean", "max", "gem")]
    whole = forward(network, architecture, crop, [*layers, Layer(node="head")], precision).start(images)()
    order, threads = np.random.default_rng(1).permutation(32)[:16], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            for layer in layers:
                alone = forward(network, architecture, crop, [layer], precision).start(images[order])()
                np.testing.assert_array_equal(alone[layer], whole[layer][order])
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(("architecture", "crop", "node", "prefix"), TOKENS)
def test_pools_over_tokens_are_numpys_and_leave_out_prefix_tokens(architecture, crop, node, prefix):
    shape = nodes_of(architecture, 10, crop, None, Path()).values[node].shape
    assert (shape.axes, shape.prefix_tokens) == ("tokens,C", prefix)
    pools = ("flatten", "mean", "max", "gem", *(["cls"] if prefix else []))
    layers = {pool: Layer(node=node, pool=pool) for pool in pools}
    found = forward(built(architecture, crop), architecture, crop, [*layers.values()]).start(
        pixels(crop, 16)
    )()
    rows = {pool: found[layer] for pool, layer in layers.items()}
    tokens = rows["flatten"].reshape(16, *shape.shape)
    places = tokens[:, prefix:]
    np.testing.assert_allclose(rows["mean"], places.mean(1), atol=1e-5)
    np.testing.assert_array_equal(rows["max"], places.max(1))
    gem = np.cbrt((np.maximum(places, 1e-6).astype(float) ** 3).mean(1))
    np.testing.assert_allclose(rows["gem"], gem, atol=1e-5)
    if prefix:
        np.testing.assert_array_equal(rows["cls"], tokens[:, 0])


@pytest.mark.parametrize(
    ("architecture", "crop", "node", "pool"),
    [
        ("timm/test_vit", 96, "norm", "cls"),
        ("timm/vit_base_patch16_gap_224", 32, "blocks.11", "mean"),
        ("timm/swin_tiny_patch4_window7_224", 32, "norm", "mean"),
        ("timm/test_convnext", 64, "norm_pre", "mean"),
    ],
)
def test_pools_are_those_of_timms_own_head(architecture, crop, node, pool):
    network, images, layer = built(architecture, crop), pixels(crop, 16), Layer(node=node, pool=pool)
    with torch.inference_mode():
        own = network.forward_features(as_tensors(images))
        head = network.forward_head(own, pre_logits=True)
        if architecture.startswith("timm/test_convnext"):
            head = network.head.global_pool(own).flatten(1)
        if "gap" in architecture:  # its norm comes after the mean
            head = network.blocks(network._pos_embed(network.patch_embed(as_tensors(images)))).mean(1)
    found = forward(network, architecture, crop, [layer]).start(images)()[layer]
    np.testing.assert_allclose(found, head.numpy(), atol=1e-4 * float(head.abs().max()))


def test_what_is_folded_is_close_to_what_is_not(monkeypatch):
    architecture, layers = "timm/resnet18", [Layer(node="layer4"), Layer(node="layer1.0.conv1")]
    network, images = built(architecture, 64), pixels(64, 16)
    traced = forward(network, architecture, 64, layers).start(images)()
    monkeypatch.setattr(inference_graph, "nodes_in", HookedNetwork)
    hooked = forward(network, architecture, 64, layers).start(images)()
    for layer in layers:
        largest = np.abs(hooked[layer]).max()
        np.testing.assert_allclose(traced[layer], hooked[layer], rtol=0, atol=1e-5 * largest)


def drawn(count: int) -> list[str]:
    """Networks of as many modules of timm's, one each."""
    by_module: dict[str, list[str]] = {}
    for module in sorted(timm.list_modules()):
        names = [name for name in timm.list_models(module=module) if _side(name) <= 256]
        if names:
            by_module[module] = sorted(names)
    modules = random.Random(14).sample(sorted(by_module), count)
    return [f"timm/{random.Random(14).choice(by_module[module])}" for module in modules]


def _side(name: str) -> int:
    config = timm.get_pretrained_cfg(name)
    return config.input_size[-1] if config else 224


@pytest.mark.long
@pytest.mark.parametrize("architecture", drawn(40))
def test_features_are_timms_own(architecture):
    crop = _side(architecture.removeprefix("timm/"))
    nodes = nodes_of(architecture, 10, crop, None, Path())
    network = built(architecture, crop)
    if sum(value.numel() for value in network.parameters()) > 120e6:
        pytest.skip("too large for this test")
    images = pixels(crop, 2)
    with torch.inference_mode():
        wanted: dict[str, torch.Tensor] = {}
        names = {id(module): name for name, module in network.named_modules()}

        def keep(module: nn.Module, _: object, value: object) -> None:
            name = names.get(id(module))
            if name in nodes.main and isinstance(value, torch.Tensor):
                wanted.setdefault(name, value.flatten(1).clone())

        handles = [module.register_forward_hook(keep) for module in network.modules()]
        network(as_tensors(images))
        for handle in handles:
            handle.remove()
    chosen = [name for name in nodes.main if name in wanted][-12:]
    layers = [Layer(node=name) for name in chosen]
    found = forward(network, architecture, crop, layers).start(images)()
    worst = 0.0
    for layer in layers:
        own = wanted[layer.node].numpy()
        scale = np.abs(own).max() or 1.0  # blocks that begin as nothing are all zeros
        assert np.isfinite(found[layer]).all()
        worst = max(worst, float(np.abs(found[layer] - own).max() / scale))
    way = "hooked" if isinstance(nodes_in(network), HookedNetwork) else "traced"
    print(f"\n| {architecture} | {crop} | {way} | {len(chosen)} | {worst:.1e} |")
    assert worst < 1e-4
    assert chosen
