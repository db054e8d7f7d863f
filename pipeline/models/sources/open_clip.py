"""The networks of open_clip: an image tower, and the text tower of the same space."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from ...errors import UserError
from ...files.hints import some_of
from .clip_tokenizer import clip_tokenizer
from .hub import fetched_from_hub, needed
from .source import ModelSource, PublishedWeights, Tokenizer
from .timm import in_timms_names

_PREFIX = "open_clip/"
_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_MODES = {"shortest": "crop", "squash": "squash", "longest": "pad"}
_TRUNK = "visual.trunk."  # of an image tower that is timm's


class OpenClipSource(ModelSource):
    """As `ModelSource` says; a name is `open_clip/ViT-B-32`, with the tag of its weights after a dot.

    Or it is `open_clip/<file>.json`: a configuration of the user's, given from the project's folder, written
    as those of open_clip are. Networks have an image and a text tower under open_clip's names, and no head;
    called with images they give `encode_image`'s value, not normalised, which is their node `image`. Weights
    lie in the hub's cache (HF_HOME).

    A tag whose weights were trained with QuickGELU goes with a name that ends in -quickgelu alone:
    open_clip would build the plain one with another activation, and only warn of it.
    """

    name: ClassVar[str] = "open_clip model"

    def spells(self, architecture: str) -> bool:
        """By its prefix."""
        return architecture.startswith(_PREFIX)

    def architectures(self) -> tuple[str, ...]:
        """With and without their tags."""
        return _names()

    def check(self, architecture: str) -> None:
        """A file must be a configuration; a tag must have the network's activation."""
        if self.files(architecture):
            _open_clip()
            self._config(architecture)
            return
        name, tag = _name_and_tag(architecture)
        if architecture not in self.architectures() and tag in _open_clip().list_pretrained_tags_by_model(
            name
        ):
            raise UserError(
                f"architecture {architecture}: these weights were trained with QuickGELU, which {name} has "
                f"not; write {_PREFIX}{name}-quickgelu.{tag}"
            )
        super().check(architecture)

    def files(self, architecture: str) -> tuple[str, ...]:
        """The configuration, where it is the user's."""
        file = architecture.removeprefix(_PREFIX)
        return (file,) if file.endswith(".json") else ()

    def build(self, architecture: str, num_outputs: int, crop: int, **options: Any) -> nn.Module:
        """As `open_clip.create_model` with `force_image_size`; further options as it takes them."""
        built_from, now = options.pop("file_sha256", None), self.options(architecture).get("file_sha256")
        if built_from not in (None, now):
            file = self.files(architecture)[0]
            raise UserError(f"{file} has changed since the model was made from it", rerun="model")
        config = copy.deepcopy(self._config(architecture)["model_cfg"] | options)
        vision, text = config["vision_cfg"], config["text_cfg"]
        designed_for = vision.get("image_size", 224)
        vision["image_size"] = crop
        if "timm_model_name" in vision:
            vision["timm_model_pretrained"] = False
        if "hf_model_name" in text:
            needed("transformers", "open-clip")
            fetched_from_hub(text["hf_model_name"], "config.json")
            text["hf_model_pretrained"] = False
        custom = config.pop("custom_text", False) or "hf_model_name" in text
        whole = ("CoCa" if "multimodal_cfg" in config else "CustomTextCLIP") if custom else "CLIP"
        network: nn.Module = _called_with_images(getattr(_open_clip(), whole))(**config)
        if "timm_model_name" in vision and crop != designed_for:
            network.get_submodule("visual").set_input_size(crop)  # type: ignore[operator]
        return network.train()

    def heads(self, architecture: str, network: nn.Module) -> tuple[str, ...]:
        """None."""
        return ()

    def options(self, architecture: str, sha256: str | None = None) -> dict[str, Any]:
        """The sha256 of a configuration of the user's."""
        files = self.files(architecture)
        return {"file_sha256": hashlib.sha256(self._read(architecture)).hexdigest()} if files else {}

    def preprocessing(self, architecture: str, tag: str) -> dict[str, Any]:
        """As the tag's configuration has it, for `image_transform_v2`; without a tag open_clip's defaults."""
        clip, config = _open_clip(), self._config(architecture)
        own = config.get("preprocess_cfg") or clip.get_pretrained_cfg(*_name_and_tag(architecture))
        found = clip.transform.merge_preprocess_dict(clip.transform.PreprocessCfg(), own)
        size = config["model_cfg"]["vision_cfg"].get("image_size", 224)
        return {
            "resize": size,
            "crop": size,
            "interpolation": found["interpolation"],
            "mean": list(found["mean"]),
            "std": list(found["std"]),
            "mode": _MODES[found["resize_mode"]],
            "fill": [found["fill_color"]] * 3,
        }

    def weights(self, architecture: str, tag: str) -> PublishedWeights:
        """Those of the tag in the name."""
        name, chosen = _name_and_tag(architecture)
        if tag != "pretrained":
            raise UserError(f"weights: {tag} is torchvision's; write pretrained for the weights of {name}")
        if not chosen:
            tags = [each for each in _names() if each.startswith(f"{_PREFIX}{name}.")]
            there = f"; write which in the architecture, as {some_of(tags, 8)}" if tags else ""
            raise UserError(f"weights: open_clip publishes none under the name {name} alone{there}")
        repository, _, file = _open_clip().get_pretrained_cfg(name, chosen)["hf_hub"].rpartition("/")
        names = (f"{Path(file).stem}.safetensors", file) if file else _FILES
        found = fetched_from_hub(repository, names=names)
        return PublishedWeights(found.path, (), f"open_clip {name}, tag {chosen}, {found.origin}")

    def own_names(
        self, architecture: str, state: Mapping[str, torch.Tensor], network: nn.Module
    ) -> dict[str, torch.Tensor]:
        """As `open_clip.factory.load_checkpoint`: other programs' names, older ones, other sizes."""
        own = network.state_dict()
        if own.keys() == state.keys() and all(own[key].shape == value.shape for key, value in state.items()):
            return dict(state)
        try:
            return _converted(dict(state), network, own)
        except (KeyError, IndexError, RuntimeError, ValueError, AttributeError, TypeError, AssertionError):
            return dict(state)  # of no program that open_clip knows: it is said elsewhere what does not fit

    def tokenizer(self, architecture: str) -> Tokenizer:
        """As the configuration of the text tower has it."""
        return clip_tokenizer(self._config(architecture)["model_cfg"]["text_cfg"])

    def _config(self, architecture: str) -> dict[str, Any]:
        """`model_cfg`, and `preprocess_cfg` where the file has it, as open_clip_config.json does."""
        if not self.files(architecture):
            return {"model_cfg": _open_clip().get_model_config(_name_and_tag(architecture)[0])}
        try:
            found = json.loads(self._read(architecture))
            config: dict[str, Any] = found if "model_cfg" in found else {"model_cfg": found}
            missing = {"embed_dim", "vision_cfg", "text_cfg"} - config["model_cfg"].keys()
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"architecture {architecture}: not a configuration ({error})") from None
        if missing:
            raise UserError(
                f"architecture {architecture}: the configuration has no {', '.join(sorted(missing))}; "
                "write it as those in open_clip's model_configs"
            )
        return config

    def _read(self, architecture: str) -> bytes:
        file = self.files(architecture)[0]
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise UserError(f"architecture {architecture}: give the file from the project's folder")
        try:
            return (self.root / file).read_bytes()
        except OSError as error:
            problem = f"{self.root / file} cannot be read ({error.strerror})"
            raise UserError(f"architecture {architecture}: {problem}") from None


def _open_clip() -> Any:
    return needed("open_clip", "open-clip")


def _name_and_tag(architecture: str) -> tuple[str, str]:
    name, _, tag = architecture.removeprefix(_PREFIX).partition(".")
    return name, tag


@functools.cache
def _names() -> tuple[str, ...]:
    clip = _open_clip()
    quick = {name: clip.get_model_config(name).get("quick_gelu", False) for name in clip.list_models()}
    tagged = (
        f"{name}.{tag}"
        for name, tag in clip.list_pretrained()
        if quick[name] or not clip.get_pretrained_cfg(name, tag).get("quick_gelu", False)
    )
    return tuple(sorted(f"{_PREFIX}{name}" for name in (*quick, *tagged)))


@functools.cache
def _called_with_images(kind: type[nn.Module]) -> type[Any]:
    """A class of open_clip's, whose `forward` is `encode_image`.

    Its value passes through a module without weights, so that it has the name `image` whether nodes are found
    by tracing or by hooks, and the state dict is the same.
    """

    class CalledWithImages(kind):  # type: ignore[valid-type, misc]
        def __init__(self, **config: Any) -> None:
            super().__init__(**config)
            self.image = nn.Identity()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            """(B, 3, crop, crop) to (B, embed_dim)."""
            value: torch.Tensor = self.image(self.encode_image(images, normalize=False))
            return value

    return CalledWithImages


def _converted(
    state: dict[str, torch.Tensor], network: nn.Module, own: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    clip = _open_clip()
    state = dict(clip.convert.convert_state_dict(network, state))
    if "positional_embedding" in state and not hasattr(network, "positional_embedding"):
        state = clip.model.convert_to_custom_text_state_dict(state)
    for name in own.keys() & state.keys() & {"logit_scale", "logit_bias"}:
        state[name] = state[name].reshape(own[name].shape)
    if "logit_bias" in own and "logit_scale" in state:  # of a CLIP, made ready for SigLIP's loss
        state.setdefault("logit_bias", torch.zeros_like(state["logit_scale"]))
    if (ids := "text.transformer.embeddings.position_ids") not in own:
        state.pop(ids, None)
    clip.model.resize_pos_embed(state, network)
    clip.model.resize_text_pos_embed(state, network)
    trunk = {key.removeprefix(_TRUNK): value for key, value in state.items() if key.startswith(_TRUNK)}
    if trunk:
        rest = {key: value for key, value in state.items() if not key.startswith(_TRUNK)}
        named = in_timms_names(trunk, network.get_submodule("visual.trunk"))
        state = rest | {f"{_TRUNK}{key}": value for key, value in named.items()}
    return state
