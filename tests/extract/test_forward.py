from __future__ import annotations

import copy
import itertools
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from pool5.errors import UserError
from pool5.extract.embed import embed_images
from pool5.extract.forward import Forward
from pool5.extract.inference_graph import prepare
from pool5.extract.keys import RECIPE_VERSION
from pool5.models.hooks import HookedNetwork
from pool5.models.network import build_network
from pool5.models.node_values import find_nodes, nodes_in
from pool5.params import Dataset, Extract, Layer, Params, Preprocess
from pool5.params.recipes import read_recipes
from pool5.project import Project

PREPROCESS = Preprocess(resize=72, crop=64)
FLATTEN = Layer(node="flatten")


def resnet(architecture: str = "resnet18") -> nn.Module:
    """A network whose batch norms are not the identity that a fresh one computes."""
    torch.manual_seed(0)
    network = build_network(architecture, 20).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def modules_run(extractor: nn.Module) -> list[nn.Module]:
    graph = extractor.cut
    return [graph.get_submodule(node.target) for node in graph.graph.nodes if node.op == "call_module"]


def layers(*nodes: str) -> list[Layer]:
    return [Layer(node=node) for node in nodes]


def forward(nodes: list[str], **extract: object) -> Forward:
    return Forward(resnet(), layers(*nodes), PREPROCESS, Extract(device="cpu", **extract))


def test_values_are_those_of_the_plain_network_on_torchvisions_tensors() -> None:
    network, images = resnet(), pixels(16)
    normalise = torchvision.transforms.Normalize(PREPROCESS.mean, PREPROCESS.std)
    batch = normalise(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    expected = {}
    for node in ("layer1.0.conv1", "layer1.0.bn2", "avgpool", "fc"):
        # copied when computed: the network's in-place ReLU and += would change it later
        network.get_submodule(node).register_forward_hook(
            lambda _, __, out, node=node: expected.update({node: out.clone().flatten(1)})
        )
    with torch.inference_mode():
        network(batch)
    found = forward([*expected, "flatten"]).start(images)()
    for node, values in expected.items():
        np.testing.assert_allclose(found[Layer(node=node)], values, atol=2e-5, rtol=2e-5)
    np.testing.assert_array_equal(found[FLATTEN], found[Layer(node="avgpool")])


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v2", "googlenet", "alexnet"])
def test_folding_and_fusing_leave_the_values(architecture: str) -> None:
    network = resnet(architecture)
    batch = torch.randn(4, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    (layer,) = layers(find_nodes(network, 96).rows[-1])
    with torch.inference_mode():
        expected = network(batch)
        (plain,), (fused,) = (prepare(copy.deepcopy(network), [layer], fuse=fuse) for fuse in (False, True))
        torch.testing.assert_close(plain(batch)[layer], expected, rtol=1e-4, atol=1e-4)
        # to the bit with most batches and threads: how a convolution is done depends on what follows it
        torch.testing.assert_close(plain(batch)[layer], fused(batch)[layer], rtol=1e-4, atol=1e-5)
    left = [module for module in modules_run(fused) if isinstance(module, nn.BatchNorm2d | nn.ReLU6)]
    assert not left  # the blocks of MobileNet, which torchvision traces as one node each, are opened


def test_a_shared_convolution_is_not_folded() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 3, padding=1)
            self.norms = nn.ModuleList(nn.BatchNorm2d(3) for _ in range(2))
            self.end = nn.Flatten()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            for norm in self.norms:
                images = norm(self.convolution(images))
            return self.end(images)

    network = Twice().eval()
    nn.init.constant_(network.norms[1].running_mean, 3.0)
    batch = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        expected = network(batch)
        (found,) = prepare(copy.deepcopy(network), layers("end"), fuse=True)
        torch.testing.assert_close(found(batch)[Layer(node="end")], expected, rtol=1e-5, atol=1e-5)


class Sums(nn.Module):
    """As HRNet fuses its branches."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.end = nn.ReLU()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first, second, third = (convolution(images * n) for n, convolution in enumerate(self.convolutions))
        return self.end(first + second + third)


class Bounded(nn.Module):
    """Two activations after a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 3)
        self.six, self.end = nn.ReLU6(), nn.ReLU()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.end(self.six(self.convolution(99 * images)))


@pytest.mark.parametrize("kind", [Sums, Bounded])
def test_a_convolution_takes_one_addition_and_one_activation(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network, batch = kind().eval(), torch.randn(2, 3, 8, 8)
    (end,) = layers("end")
    (found,) = prepare(copy.deepcopy(network), [end], fuse=True)
    with torch.inference_mode():
        torch.testing.assert_close(found(batch)[end], network(batch).flatten(1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_bits_do_not_depend_on_neighbors_order_batch_or_other_nodes(precision: str) -> None:
    images = pixels(48)
    whole = forward(["flatten"], precision=precision).start(images)()[FLATTEN]
    order = np.random.default_rng(1).permutation(48)
    run = forward(["flatten", "layer1.0.conv1", "fc"], precision=precision)
    for start in (0, 16, 32):
        some = order[start : start + 16]
        np.testing.assert_array_equal(run.start(images[some])()[FLATTEN], whole[some])
    padded = np.concatenate([images[:3], np.zeros((13, 64, 64, 3), np.uint8)])
    np.testing.assert_array_equal(run.start(padded)()[FLATTEN][:3], whole[:3])


def rows_of(network: nn.Module, asked: list[Layer]) -> dict[Layer, torch.Tensor]:
    batch = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    rows = {}
    with torch.inference_mode():
        for module in prepare(copy.deepcopy(network), asked, fuse=True):
            rows.update(module(batch))
    return rows


@pytest.mark.parametrize(
    ("architecture", "among"),
    [
        ("resnet18", ["layer1.0.bn1", "layer1.0.relu", "layer4.1.bn2", "layer2.0.downsample.0"]),
        ("mobilenet_v2", ["features.1.conv.0", "features.1.conv.1", "features.15.conv.3", "features.18"]),
    ],
)
def test_a_node_has_the_bits_that_it_has_alone_beside_any_other(architecture: str, among: list[str]) -> None:
    network = resnet(architecture)
    others = np.random.default_rng(0).choice(find_nodes(network, 64).rows, 2, replace=False)
    asked = layers(*dict.fromkeys([*among, *others.tolist()]))
    alone = {layer: rows_of(network, [layer])[layer] for layer in asked}
    for pair in [*itertools.combinations(asked, 2), asked]:
        for layer, rows in rows_of(network, [*pair]).items():
            assert torch.equal(rows, alone[layer]), f"{layer.node} beside {[p.node for p in pair]}"


def test_one_thread_and_two_give_the_same_bits() -> None:
    run, images, threads = forward(["flatten"]), pixels(16), torch.get_num_threads()
    try:
        found = []
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(run.start(images)()[FLATTEN])
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*found)


def test_a_network_that_cannot_be_traced_gives_its_own_values() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.end = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            value = self.convolution(images).mean((2, 3))
            if value.sum() > 0:
                value = -value
            return self.end(value)

    network, end, images = Branching().eval(), Layer(node="end"), pixels(4)
    assert isinstance(nodes_in(network), HookedNetwork)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (PREPROCESS.mean, PREPROCESS.std))
    with torch.inference_mode():
        own = network((torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std)
    found = Forward(network, [end], PREPROCESS, Extract(device="cpu")).start(images)()[end]
    np.testing.assert_allclose(found, own, rtol=1e-5, atol=1e-5)


def test_the_storage_dtype_is_the_one_asked_for() -> None:
    assert forward(["flatten"], dtype="float16").start(pixels(16))()[FLATTEN].dtype == np.float16


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precisions_are_close_to_fp32(precision: str) -> None:
    exact, half = (
        forward(["flatten"], precision=p).start(pixels(16))()[FLATTEN] for p in ("fp32", precision)
    )
    assert not np.array_equal(exact, half)
    cosine = (exact * half).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(half, axis=1)
    assert cosine.min() > 0.999


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nfurther lines"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"
        ),
        MemoryError(),
        RuntimeError("GET was unable to find an engine to execute this computation"),  # cuDNN, of either
    ],
    ids=["cuda", "cpu", "python", "no kernel"],
)
def test_a_batch_that_the_memory_does_not_hold_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    network = forward(["flatten"])
    monkeypatch.setattr(torch, "addcmul", fail)
    told = r"^a batch of 16 images: .*; free memory of .*, or take another extract\.device$"
    with pytest.raises(UserError, match=told):
        network.start(pixels(64))


class Large(nn.Module):
    """A network that the memory holds for some images only; counts the images of each pass."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.convolution, self.end = nn.Conv2d(3, 8, 3), nn.Flatten()
        self.most = most
        self.passes: list[int] = []
        self.held: list[weakref.ref] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not [one for one in self.held if one() is not None], "what failed still holds memory"
        self.passes.append(len(images))
        values = self.convolution(images)
        if len(images) > self.most:
            self.held = [weakref.ref(images), weakref.ref(values)]
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return self.end(values)

    def __deepcopy__(self, _: object) -> Large:
        return self


@pytest.mark.parametrize(
    ("most", "passes"),
    [(32, [64, 32, 32]), (16, [64, 32, 16, 16, 16, 16]), (64, [64])],
)
def test_a_batch_that_is_too_large_goes_on_in_halves(most: int, passes: list[int], caplog) -> None:
    torch.manual_seed(0)
    end, network = Layer(node="end"), Large(most)
    run = Forward(network, [end], PREPROCESS, Extract(device="cpu", batch_size=64))
    found = run.start(pixels(64))()[end]
    assert network.passes == passes
    again = run.start(pixels(64, seed=1))()[end]
    assert network.passes == passes + [most] * (64 // most), "it is not tried again"
    told = "does not hold 64 images at once; it goes on with"
    assert len([line for line in caplog.messages if told in line]) == (most < 64)
    network.most = 64
    whole = Forward(network, [end], PREPROCESS, Extract(device="cpu", batch_size=64))
    np.testing.assert_array_equal(whole.start(pixels(64))()[end], found)
    np.testing.assert_array_equal(whole.start(pixels(64, seed=1))()[end], again)


def test_parts_of_a_batch_are_of_one_size() -> None:
    end, network = Layer(node="end"), Large(32)
    found = Forward(network, [end], PREPROCESS, Extract(device="cpu", batch_size=48)).start(pixels(48))()
    assert network.passes == [48, 32, 32]
    network.most = 48
    whole = Forward(network, [end], PREPROCESS, Extract(device="cpu", batch_size=48)).start(pixels(48))()
    np.testing.assert_array_equal(found[end], whole[end])


def test_other_faults_of_torch_are_not_taken_for_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("shapes do not match")

    network = forward(["flatten"])
    monkeypatch.setattr(torch, "addcmul", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        network.start(pixels(16))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"extract\.device: cuda: torch finds no GPU; set it to auto or cpu"):
        Forward(resnet(), [FLATTEN], PREPROCESS, Extract(device="cuda"))


def golden_image() -> np.ndarray:
    """A fixed picture by arithmetic alone: smooth, with colour and an edge."""
    y, x = np.mgrid[0:90, 0:120]
    image = np.stack([2 * x, 255 - 2 * y, (x * y // 42) % 256], axis=-1)
    image[30:60, 40:80] = (250, 20, 60)
    return image.astype(np.uint8)


def golden_network() -> nn.Module:
    """ResNet-18 with weights by arithmetic alone: torch's random numbers may change with its version."""
    network = build_network("resnet18", 20).eval()
    with torch.no_grad():
        for number, (name, value) in enumerate(network.state_dict().items()):
            if value.dtype != torch.float32:
                continue
            wave = torch.sin(torch.arange(value.numel(), dtype=torch.float64) * 0.7 + number).view(
                value.shape
            )
            if "running_var" in name:
                value.copy_(1 + 0.3 * wave)
            elif value.ndim >= 2:
                value.copy_(wave * (0.1 / value[0].numel()) ** 0.5)
            else:
                value.copy_((1.0 if name.endswith("weight") else 0.0) + 0.1 * wave)
    return network


GOLDEN = Path(__file__).with_name("golden.json")


def golden_feature(tmp_path: Path) -> np.ndarray:
    from PIL import Image

    from pool5.images.image_file import read_image
    from pool5.images.transform import resize_and_crop

    Image.fromarray(golden_image()).save(tmp_path / "golden.png")
    crop = resize_and_crop(read_image(tmp_path / "golden.png"), PREPROCESS)
    run = Forward(golden_network(), [FLATTEN], PREPROCESS, Extract(device="cpu"))
    return run.start(np.repeat(crop[None], 16, axis=0))()[FLATTEN][0]


def test_golden_feature(tmp_path: Path) -> None:
    """A change that moves these values must raise `RECIPE_VERSION`, and then write golden.json anew.

    `extract` in recipes.yaml goes up with it, and may have gone up more often: for what else is in a file.

    Processors differ in the last bits, so the values are compared within 1e-4 of the largest; a change of
    the recipe (another filter, another mean) moves them a hundred times further.
    """
    golden = json.loads(GOLDEN.read_text())
    recipes = Path(__file__).resolve().parents[2] / "recipes.yaml"
    assert golden["recipe_version"] == RECIPE_VERSION <= read_recipes(recipes)["extract"].version
    feature = golden_feature(tmp_path)
    expected = np.array(golden["feature"], np.float32)
    np.testing.assert_allclose(feature, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_a_query_image_gets_the_very_bits_that_the_extraction_stores(tmp_path: Path) -> None:
    from PIL import Image

    from pool5.models.card import ModelCard
    from pool5.models.weights import write_model
    from pool5.params import Model

    network = resnet()
    write_model(
        Project(tmp_path).model("m"),
        network.state_dict(),
        ModelCard("resnet18", 20, 64, (), "", "test"),
    )
    paths = []
    for number, image in enumerate(pixels(3)):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(image).save(paths[-1])
    spec = Model(
        architecture="resnet18",
        weights="random",
        layers={"fc7": "flatten", "pool5": "flatten"},
        preprocess=Preprocess(resize=64, crop=64),
        train=None,
    )

    dataset = Dataset(name="d", kind="folder", root=".", train="train", test="test")
    params = Params(dataset=dataset, models={"m": spec}, extract=Extract(device="cpu"))
    found = embed_images(paths, "m", params, project=Project(tmp_path))
    expected = Forward(network, [FLATTEN], PREPROCESS, Extract(device="cpu")).start(
        np.concatenate([pixels(3), np.zeros((13, 64, 64, 3), np.uint8)])
    )()[FLATTEN][:3]
    np.testing.assert_array_equal(found["fc7"], expected)
    np.testing.assert_array_equal(found["pool5"], expected)
    with pytest.raises(UserError, match="m has no layer fc8; it has fc7, pool5"):
        embed_images(paths, "m", params, ["fc8"], Project(tmp_path))
