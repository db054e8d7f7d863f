"""The networks of timm beside timm itself: heads, preprocessing, weights in the hub's cache and of others."""

from __future__ import annotations

import hashlib
import http.server
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from source_tests import SourceTests

timm = pytest.importorskip("timm")

import msgspec  # noqa: E402
from timm.data import create_transform, resolve_data_config  # noqa: E402

from pool5.errors import UserError  # noqa: E402
from pool5.images.transform import crop_centre  # noqa: E402
from pool5.models.checkpoint_file import read_checkpoint  # noqa: E402
from pool5.models.network import build_network, head_names, num_outputs, on_shapes_alone  # noqa: E402
from pool5.models.sources import source_of  # noqa: E402
from pool5.models.sources.hub import fetched_from_hub  # noqa: E402
from pool5.models.sources.timm import TimmSource  # noqa: E402
from pool5.models.weights import start_network  # noqa: E402
from pool5.params import Model, Preprocess  # noqa: E402

SOURCE = TimmSource()
REVISION = "0123456789abcdef0123456789abcdef01234567"
FAMILIES = ["test_vit", "test_resnet", "test_convnext2", "test_efficientnet", "test_mambaout", "test_byobnet"]
# one of each kind of head, and of each way to be told the size of the images
LARGER = [
    "beit_base_patch16_224", "cait_xxs24_224", "coat_lite_tiny", "convit_tiny", "convmixer_768_32",
    "crossvit_tiny_240", "cs3darknet_focus_s", "davit_tiny", "deit_tiny_distilled_patch16_224",
    "densenet121", "dla34", "dpn48b", "edgenext_xx_small", "efficientformer_l1", "efficientvit_b0",
    "efficientvit_m0", "eva02_tiny_patch14_224", "fastvit_t8", "focalnet_tiny_srf", "gcvit_xxtiny",
    "ghostnet_050", "gmixer_12_224", "hardcorenas_a", "hgnet_tiny", "hiera_tiny_224",
    "inception_next_atto", "inception_v4", "levit_128s", "maxvit_pico_rw_256",
    "mobilenetv3_small_050", "mobilevit_xxs", "mvitv2_tiny", "nest_tiny", "nf_regnet_b0",
    "pit_ti_224", "poolformer_s12", "pvt_v2_b0", "regnetx_002", "repvit_m0_9", "resnet18",
    "rexnet_100", "selecsls42", "sequencer2d_s", "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256", "tiny_vit_5m_224", "tnt_s_patch16_224", "tresnet_m",
    "twins_svt_small", "vgg11", "visformer_tiny", "vit_small_patch14_dinov2",
    "vit_small_patch16_siglip_gap_256", "vit_relpos_small_patch16_224", "volo_d1_224", "vovnet39a",
    "xception41", "xcit_nano_12_p16_224",
]  # fmt: skip


class TestTimm(SourceTests):
    kind = TimmSource
    small = ("timm/test_vit.r160_in1k", 32)
    mistyped = ("timm/test_vit.r161_in1k", r"no timm model \(did you mean timm/test_vit\d?.r160_in1k")
    tag = "pretrained"
    without_weights = "timm/convnextv2_small"


def test_every_network_of_timm_is_known_alone_and_with_its_tags():
    assert {f"timm/{name}" for name in timm.list_models()} < set(SOURCE.architectures())
    assert {f"timm/{name}" for name in timm.list_models(pretrained=True)} < set(SOURCE.architectures())


@pytest.mark.parametrize(
    "name",
    FAMILIES + [pytest.param(name, marks=pytest.mark.long) for name in LARGER if name in timm.list_models()],
)
def test_the_head_is_where_the_logits_come_from(name):
    crop = timm.get_pretrained_cfg(name).input_size[1]
    network = on_shapes_alone(f"timm/{name}", 7, crop)
    last = []
    network.get_submodule(head_names(network)[0]).register_forward_hook(lambda *_: last.append(1))
    assert network(torch.empty(2, 3, crop, crop, device="meta")).shape == (2, 7)
    assert num_outputs(network) == 7
    assert last == [1]


def test_one_made_for_a_size_of_images_is_made_for_the_crop():
    network = build_network("timm/test_vit", 3, 64)
    assert network.patch_embed.grid_size == (4, 4)


def test_arguments_are_those_of_timm():
    options = {"arguments": {"global_pool": "avg", "depth": 1}}
    network = build_network("timm/test_vit", 3, 64, options)
    assert (network.global_pool, len(network.blocks)) == ("avg", 1)
    with pytest.raises(
        UserError, match=r"test_vit with arguments .*bogus.*: cannot .*: AssertionError: Only avg"
    ):
        build_network("timm/test_vit", 3, 64, {"arguments": {"global_pool": "bogus"}})


@pytest.mark.parametrize(
    "name",
    [
        "test_vit.r160_in1k",
        "vit_small_patch14_dinov2.lvd142m",
        "vit_base_patch16_siglip_224.webli",
        "convnext_tiny.fb_in1k",
        "inception_v4.tf_in1k",
        "mobilenetv4_conv_small.e2400_r224_in1k",
        *[name for name in timm.list_pretrained() if timm.get_pretrained_cfg(name).crop_mode == "border"][:2],
    ],
)
def test_the_preprocessing_is_that_of_create_transform(name):
    found = msgspec.convert(SOURCE.preprocessing(f"timm/{name}", "pretrained"), Preprocess)
    theirs = create_transform(**resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict()))
    image = Image.effect_mandelbrot((500, 400), (-2, -1.5, 1, 1.5), 60).convert("RGB")
    pixels = np.asarray(crop_centre(image, found), np.float64) / 255
    ours = ((pixels - found.mean) / found.std).transpose(2, 0, 1)
    one_level = 1 / 255 / min(found.std)
    assert np.abs(ours - theirs(image).numpy()).max() < 1.01 * one_level
    assert (np.abs(ours - theirs(image).numpy()) > 1e-5).mean() < 0.04  # a crop that is resampled by part


def test_of_images_that_are_no_squares_nobody_says_the_preprocessing():
    assert SOURCE.preprocessing("timm/vit_base_patch16_sapiens2", "pretrained") is None


def in_cache(
    folder: Path, repository: str, state: dict[str, torch.Tensor], name: str = "model.safetensors"
) -> Path:
    """A file in the layout of the hub's cache."""
    there = folder / f"models--{repository.replace('/', '--')}"
    (there / "refs").mkdir(parents=True)
    (there / "refs/main").write_text(REVISION)
    path = there / "snapshots" / REVISION / name
    path.parent.mkdir(parents=True)
    save_file(state, path) if name.endswith("safetensors") else torch.save(state, path)
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the hub's on a machine without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def pretrained(architecture: str, crop: int, **arguments: object) -> Model:
    return Model(
        architecture=architecture, weights="pretrained", layers={"logits": "head"}, arguments=arguments,
        preprocess=Preprocess(resize=crop, crop=crop),
    )  # fmt: skip


@pytest.mark.parametrize("crop", [160, 64])
@pytest.mark.parametrize("name", ["test_vit.r160_in1k", "test_convnext.r160_in1k"])
def test_weights_in_the_hubs_cache_give_what_timm_gives(cache, tmp_path, name, crop):
    torch.manual_seed(1)
    path = in_cache(cache, f"timm/{name}", timm.create_model(name).state_dict())
    start = start_network("m", pretrained(f"timm/{name}", crop), ("cat",), tmp_path)
    size = {"img_size": crop} if "vit" in name else {}
    theirs = timm.create_model(
        name, pretrained=True, pretrained_cfg_overlay={"file": str(path)}, **size
    ).eval()
    images = torch.randn(2, 3, crop, crop)
    assert torch.equal(start.network.eval()(images), theirs(images))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert start.card.origin == (
        f"timm {name}, huggingface.co/timm/{name} at revision {REVISION}, licence apache-2.0, sha256 {sha256}"
    )
    assert start.card.missing == ()


@pytest.mark.parametrize("crop", [96, 64])
@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224.ms_in1k", "swinv2_cr_tiny_ns_224.sw_in1k"])
def test_the_position_biases_of_a_swin_are_resampled_as_timm_does(cache, tmp_path, name, crop):
    small = {"depths": (1, 1), "embed_dim": 32, "num_heads": (1, 2)}
    torch.manual_seed(1)
    path = in_cache(cache, f"timm/{name}", timm.create_model(name, **small).state_dict())
    start = start_network("m", pretrained(f"timm/{name}", crop, **small), ("cat",), tmp_path)
    overlay = {"file": str(path)}
    theirs = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, img_size=crop, **small)
    images = torch.randn(2, 3, crop, crop)
    assert torch.equal(start.network.eval()(images), theirs.eval()(images))


def dinov2s_own(network: torch.nn.Module, side: int) -> dict[str, torch.Tensor]:
    """A state dict in the names of DINOv2's own repository: registers, a place for the class token."""
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("head.")}
    width = state["cls_token"].shape[-1]
    state["register_tokens"] = state.pop("reg_token")
    state["pos_embed"] = torch.randn(1, 1 + side**2, width)
    return state | {"mask_token": torch.zeros(1, width)}


def test_a_checkpoint_in_the_names_of_dinov2_is_read_as_timm_reads_it(tmp_path):
    name, small = "vit_small_patch14_reg4_dinov2", {"depth": 2, "embed_dim": 24, "num_heads": 2}
    torch.manual_seed(1)
    state = dinov2s_own(timm.create_model(name, img_size=70, **small), 5)
    torch.save(state, tmp_path / "dino.pth")
    overlay = {"file": str(tmp_path / "dino.pth"), "num_classes": 0}
    theirs = timm.create_model(
        name, pretrained=True, pretrained_cfg_overlay=overlay, img_size=56, num_classes=0, **small
    )
    bare = on_shapes_alone(f"timm/{name}", 1, 56, {"arguments": small})
    found = SOURCE.own_names(f"timm/{name}", read_checkpoint(tmp_path / "dino.pth", "m").state, bare)
    assert found.keys() == theirs.state_dict().keys()
    assert all(torch.equal(value, theirs.state_dict()[key]) for key, value in found.items())
    state = theirs.state_dict()  # and in timm's own names
    assert all(value is state[key] for key, value in SOURCE.own_names(f"timm/{name}", state, bare).items())


def test_a_checkpoint_of_a_program_that_nobody_knows_is_one_line(tmp_path):
    torch.save({"layers.0.w": torch.zeros(3), "layers.1.w": torch.zeros(3)}, tmp_path / "net.pth")
    sha256 = hashlib.sha256((tmp_path / "net.pth").read_bytes()).hexdigest()
    model = msgspec.structs.replace(pretrained("timm/test_vit", 64), weights="net.pth", sha256=sha256)
    with pytest.raises(
        UserError, match=r"^model m: file net.pth.*another architecture.*layers.0.w"
    ) as refusal:
        start_network("m", model, ("cat",), tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_file_of_the_cache_that_is_cut_short_is_one_line(cache, tmp_path):
    path = in_cache(cache, "timm/test_vit.r160_in1k", timm.create_model("test_vit").state_dict())
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"model.safetensors: not a safetensors file") as refusal:
        start_network("m", pretrained("timm/test_vit.r160_in1k", 64), ("cat",), tmp_path)
    assert "\n" not in str(refusal.value)


def test_offline_the_line_says_which_file_to_put_where_and_so_it_is_used(cache, capfd):
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE is set") as refusal:
        SOURCE.weights("timm/test_vit.r160_in1k", "pretrained")
    assert "model.safetensors of huggingface.co/timm/test_vit.r160_in1k" in str(refusal.value)
    assert capfd.readouterr() == ("", "")
    folder = cache / "models--timm--test_vit.r160_in1k"
    for path in (f"{folder}/snapshots/main", f"{folder}/refs/main"):
        assert path in str(refusal.value)
    (folder / "snapshots/main").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("main")
    save_file({"a": torch.zeros(1)}, folder / "snapshots/main/model.safetensors")
    found = SOURCE.weights("timm/test_vit.r160_in1k", "pretrained")
    assert found.path == folder / "snapshots/main/model.safetensors"


def test_imagenet_is_refused_before_anything_is_fetched():
    with pytest.raises(UserError, match=r"imagenet is torchvision's; write pretrained"):
        SOURCE.preprocessing("timm/test_vit.r160_in1k", "imagenet")


def test_what_the_hub_has_not_is_told():
    with pytest.raises(UserError, match=r"the hub has no file of timm's convnextv2_small$"):
        SOURCE.weights("timm/convnextv2_small", "pretrained")
    with pytest.raises(UserError, match=r"imagenet is torchvision's; write pretrained"):
        SOURCE.weights("timm/test_vit", "imagenet")
    with pytest.raises(
        UserError, match=r"no file of timm's gcvit_tiny.in1k; fetch https://.*pth into data/models"
    ):
        SOURCE.weights("timm/gcvit_tiny.in1k", "pretrained")


@pytest.mark.parametrize(("module", "name"), [("timm", "timm/test_vit"), ("open_clip", "open_clip/ViT-B-32")])
def test_without_the_library_the_extra_is_named(monkeypatch, module, name):
    monkeypatch.setitem(sys.modules, module, None)
    source = sys.modules[f"pool5.models.sources.{module}"]
    for function in vars(source).values():
        getattr(function, "cache_clear", bool)()  # what an earlier test has asked for
    extra = module.replace("_", "-")
    with pytest.raises(UserError, match=rf"{module} is not installed; run pip install 'pool5\[{extra}\]'"):
        source_of(name)


class Hub(http.server.BaseHTTPRequestHandler):
    """A small hub: {path: file}; asked for any other it says what the real one says."""

    files: dict[str, bytes]
    delay = 0.0
    refusal: tuple[int, str]
    asked: list[tuple[str, str]]

    def do_HEAD(self) -> None:
        name = self.path.rpartition("/")[2]
        self.asked.append((self.command, name))
        content = self.files.get(name)
        status, code = (200, "") if content is not None else self.refusal
        self.send_response(status)
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(content or b"")))
        self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if content and self.command == "GET":
            for start in range(0, len(content), 1 + len(content) // 4):
                time.sleep(self.delay)
                self.wfile.write(content[start : start + 1 + len(content) // 4])

    do_GET = do_HEAD  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def hub(tmp_path, monkeypatch):
    class Handler(Hub):
        files, asked, refusal = {}, [], (404, "EntryNotFound")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    yield Handler
    server.shutdown()


def test_a_file_is_fetched_once_from_a_slow_hub(hub):
    hub.files, hub.delay = {"model.safetensors": bytes(1000)}, 0.2
    for _ in range(2):
        found = fetched_from_hub("timm/net")
        assert found.path.read_bytes() == bytes(1000)
        assert found.origin == f"huggingface.co/timm/net at revision {REVISION}"
    assert [name for method, name in hub.asked if method == "GET"] == ["model.safetensors"]


def test_the_second_name_is_taken_where_the_first_is_not_there(hub):
    hub.files = {"pytorch_model.bin": b"weights"}
    assert fetched_from_hub("timm/net").path.name == "pytorch_model.bin"


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ((404, "EntryNotFound"), "there is no model.safetensors or pytorch_model.bin"),
        ((403, "GatedRepo"), "its licence must be accepted on that page first, and HF_TOKEN set"),
        ((401, "RepoNotFound"), "there is no such repository, or it wants a token: set HF_TOKEN"),
        ((500, ""), "500 Internal Server Error"),
    ],
)
def test_what_the_hub_refuses_is_one_line(hub, capfd, refusal, told):
    hub.refusal = refusal
    with pytest.raises(UserError, match=told) as found:
        fetched_from_hub("timm/net")
    assert "\n" not in str(found.value)
    assert capfd.readouterr() == ("", "")


def test_a_machine_without_a_network_is_told_so_at_once_and_in_one_line(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/{filename}"
    )
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)  # a download tries for most of a minute
    with pytest.raises(UserError, match=r"cannot be fetched \(.*[Cc]onnect.*\); put it into") as found:
        SOURCE.weights("timm/test_vit.r160_in1k", "pretrained")
    assert waits == []
    assert "\n" not in str(found.value)
    assert capfd.readouterr() == ("", "")
