"""Every network of timm, and the weights that its tags name."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from ...errors import UserError
from .hub import fetched_from_hub, needed
from .source import ModelSource, PublishedWeights

_PREFIX = "timm/"
_FILTERS = (
    "checkpoint_filter_fn",
    "checkpoint_filter_fn_classifier",
    "_filter_fn",
    "_filter_torchvision_pretrained",
)
_MODES = {"center": "crop", "squash": "squash", "border": "pad"}


class TimmSource(ModelSource):
    """As `ModelSource` says; a name is timm's own, `timm/vit_small_patch14_dinov2.lvd142m`, tag and all.

    Without a tag it is timm's first. Weights lie in the hub's cache (HF_HOME).
    """

    name: ClassVar[str] = "timm model"

    def spells(self, architecture: str) -> bool:
        """By its prefix."""
        return architecture.startswith(_PREFIX)

    def architectures(self) -> tuple[str, ...]:
        """With and without their tags."""
        return _names()

    def build(self, architecture: str, num_outputs: int, crop: int, **options: Any) -> nn.Module:
        """As `timm.create_model`; a network that is made for one size of images is made for `crop`."""
        if _config(architecture).fixed_input_size:
            options = {"img_size": crop} | options
        network: nn.Module = _timm().create_model(
            architecture.removeprefix(_PREFIX), num_classes=num_outputs, **options
        )
        return network.train()

    def heads(self, architecture: str, network: nn.Module) -> tuple[str, ...]:
        """As timm's configuration has it."""
        names = _config(architecture).classifier
        return (names,) if isinstance(names, str) else tuple(names or ())

    def preprocessing(self, architecture: str, tag: str) -> dict[str, Any] | None:
        """As `timm.data.resolve_model_data_config` has it, for `create_transform`."""
        _check(architecture.removeprefix(_PREFIX), tag)
        if not (own := _config(architecture)).architecture:  # timm's defaults would be anybody's
            return None
        config = _timm().data.resolve_data_config(pretrained_cfg=own.to_dict())
        _, height, width = config["input_size"]
        if height != width:
            return None
        mode = _MODES[config["crop_mode"]]
        fill = [round(255 * value) for value in config["mean"]] if mode == "pad" else [0, 0, 0]
        return {
            "resize": math.floor(height / config["crop_pct"]),
            "crop": height,
            "interpolation": config["interpolation"],
            "mean": list(config["mean"]),
            "std": list(config["std"]),
            "mode": mode,
            "fill": fill,
        }

    def weights(self, architecture: str, tag: str) -> PublishedWeights:
        """Those of the tag in the name."""
        name = architecture.removeprefix(_PREFIX)
        _check(name, tag)
        config = _config(architecture)
        if not config.hf_hub_id:
            elsewhere = f"; fetch {config.url} into data/models and give its name and sha256"
            raise UserError(f"weights: the hub has no file of timm's {name}{elsewhere if config.url else ''}")
        found = fetched_from_hub(config.hf_hub_id, config.hf_hub_filename)
        licence = f", licence {config.license}" if config.license else ""
        return PublishedWeights(found.path, (), f"timm {name}, {found.origin}{licence}")

    def own_names(
        self, architecture: str, state: Mapping[str, torch.Tensor], network: nn.Module
    ) -> dict[str, torch.Tensor]:
        """By timm's own filter, which knows other programs' checkpoints and resamples position embeddings."""
        return in_timms_names(state, network, self.heads(architecture, network))


def in_timms_names(
    state: Mapping[str, torch.Tensor], network: nn.Module, heads: tuple[str, ...] = ()
) -> dict[str, torch.Tensor]:
    """A state dict as the network's own filter gives it; as it is where it fits but for the heads."""
    own, heads = network.state_dict(), tuple(f"{head}." for head in heads)
    fits = all(key in own and value.shape == own[key].shape for key, value in state.items()
               if not key.startswith(heads))  # fmt: skip
    module = sys.modules[type(network).__module__]
    convert = next((getattr(module, name) for name in _FILTERS if hasattr(module, name)), None)
    if fits or convert is None:
        return dict(state)
    try:
        try:
            return dict(convert(dict(state), network))
        except TypeError:  # some take the state alone
            return dict(convert(dict(state)))
    except (KeyError, IndexError, RuntimeError, ValueError, AttributeError, TypeError):
        return dict(state)  # of no program that timm knows: it is said elsewhere what does not fit


def _check(name: str, tag: str) -> None:
    if tag != "pretrained":
        raise UserError(f"weights: {tag} is torchvision's; write pretrained for the weights of {name}")


def _timm() -> Any:
    return needed("timm", "timm")


@functools.cache
def _names() -> tuple[str, ...]:
    timm = _timm()
    plain, tagged = timm.list_models(), timm.list_models(pretrained=True)
    return tuple(sorted({f"{_PREFIX}{name}" for name in (*plain, *tagged)}))


def _config(architecture: str) -> Any:
    """Timm's `PretrainedCfg` of a name."""
    timm = _timm()
    return timm.get_pretrained_cfg(architecture.removeprefix(_PREFIX)) or timm.models.PretrainedCfg()
