"""The classification networks of torchvision, and the trunks of its detectors and segmenters."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
import torchvision
from torch import nn
from torchvision.models import WeightsEnum

from ...errors import UserError
from ...files.download import download
from ...files.hints import did_you_mean
from .source import ModelSource, PublishedWeights

_INCEPTION = ("googlenet", "inception_v3")
_WITHOUT_EPSILON = tuple(
    f"{kind}_resnet50_fpn" for kind in ("fasterrcnn", "keypointrcnn", "maskrcnn", "retinanet")
)
_SIDE_HEADS = ("aux1.", "aux2.", "AuxLogits.")


class TorchvisionSource(ModelSource):
    """As `ModelSource` says; weights are in torchvision's own cache (TORCH_HOME).

    `imagenet` is IMAGENET1K_V1. `pretrained` is the tag in the name, as in `resnet50.IMAGENET1K_V2`, or else
    what torchvision calls the default. Of detectors and segmenters there is the trunk alone, under the names
    that it has in the whole.
    """

    name: ClassVar[str] = "torchvision model"

    def spells(self, architecture: str) -> bool:
        """By no prefix."""
        return not {"/", ":"} & set(architecture) and not architecture.endswith(".py")

    def architectures(self) -> tuple[str, ...]:
        """As torchvision lists them, alone and with each tag."""
        return _names()

    def check(self, architecture: str) -> None:
        """The near names may be caffenet, which has no prefix either."""
        known = self.architectures()
        if architecture not in known:
            hint = did_you_mean(architecture, ("caffenet", *known), most=3)
            raise UserError(f"architecture {architecture}: not caffenet and no {self.name}{hint}")

    def build(self, architecture: str, num_outputs: int, crop: int, **options: Any) -> nn.Module:
        """As `torchvision.models.get_model`, without heads that are for training alone."""
        name = _without_tag(architecture)
        if name in _trunks():
            return _trunk(name, **options)
        fixed: dict[str, object] = {}
        if name in _INCEPTION:
            # the side heads exist only for training on ImageNet, and change what forward() returns;
            # cards of the first version do not say that it was built with transform_input
            fixed = {"aux_logits": False, "init_weights": True, "transform_input": True}
        elif name.startswith("vit_"):
            fixed = {"image_size": crop}
        elif name == "maxvit_t":
            fixed = {"input_size": (crop, crop)}
        network: nn.Module = torchvision.models.get_model(
            name, weights=None, num_classes=num_outputs, **fixed | options
        )
        return network

    def heads(self, architecture: str, network: nn.Module) -> tuple[str, ...]:
        """The last linear (SqueezeNet: convolution) layer; a trunk has none."""
        return () if isinstance(network, _Trunk) else super().heads(architecture, network)

    def options(self, architecture: str, sha256: str | None = None) -> dict[str, Any]:
        """What torchvision does where it is asked for its own weights; they are known by their hash.

        `transform_input` brings the images into the range that those of two networks want; those of four
        detectors were trained with batch norms that add no epsilon.
        """
        name, sha256 = _without_tag(architecture), sha256 or ""
        if name in _INCEPTION:
            return {"transform_input": sha256.startswith(_hash_in_name(_weights(name, "imagenet")))}
        if name in _WITHOUT_EPSILON and sha256.startswith(
            _hash_in_name(_weights(f"{name}.COCO_V1", "pretrained"))
        ):
            return {"norm_eps": 0.0}
        return {}

    def preprocessing(self, architecture: str, tag: str) -> dict[str, Any] | None:
        """As the weights' `transforms()` has it; those of trunks resize to no fixed size."""
        transform = _weights(architecture, tag).transforms()
        if not hasattr(transform, "crop_size"):
            return None
        return {
            "resize": transform.resize_size[0],
            "crop": transform.crop_size[0],
            "interpolation": transform.interpolation.value,
            "mean": list(transform.mean),
            "std": list(transform.std),
        }

    def weights(self, architecture: str, tag: str) -> PublishedWeights:
        """Checked against the hash in the file's name."""
        chosen = _weights(architecture, tag)
        path = Path(torch.hub.get_dir()) / "checkpoints" / chosen.url.rpartition("/")[2]
        try:
            download(chosen.url, path, f"sha256:{_hash_in_name(chosen)}")
        except UserError as error:
            raise UserError(
                f"{error}, or set TORCH_HOME to a folder with hub/checkpoints/{path.name}"
            ) from None
        classes = () if _without_tag(architecture) in _trunks() else tuple(chosen.meta["categories"])
        return PublishedWeights(path, classes, f"torchvision {chosen}")

    def own_names(
        self, architecture: str, state: Mapping[str, torch.Tensor], network: nn.Module
    ) -> dict[str, torch.Tensor]:
        """Today's names, without the side heads; of a detector or segmenter the trunk's."""
        name = _without_tag(architecture)
        if name in _INCEPTION:
            return {k: v for k, v in state.items() if not k.startswith(_SIDE_HEADS)}
        if name in _trunks():
            return {k: v for k, v in state.items() if k.startswith("backbone.")}
        if name.startswith("densenet"):  # checkpoints of torchvision's early days
            old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
            return {old.sub(r"\1\2.", key): value for key, value in state.items()}
        return dict(state)


class _Trunk(nn.Module):
    """What computes the maps of a detector or segmenter, {name: (B, C, H, W)}."""

    def __init__(self, whole: nn.Module) -> None:
        super().__init__()
        self.backbone = whole.get_submodule("backbone")

    def forward(self, images: torch.Tensor) -> object:
        return self.backbone(images)


def _trunk(name: str, norm_eps: float | None = None, **options: Any) -> _Trunk:
    trunk = _Trunk(torchvision.models.get_model(name, weights=None, weights_backbone=None, **options))
    for module in trunk.modules():
        if norm_eps is not None and isinstance(module, nn.BatchNorm2d):
            module.eps = norm_eps
    return trunk


@functools.cache
def _names() -> tuple[str, ...]:
    plain = (*torchvision.models.list_models(module=torchvision.models), *_trunks())
    tags = {name: torchvision.models.get_model_weights(name).__members__ for name in plain}
    return (*plain, *(f"{name}.{tag}" for name in plain for tag in tags[name]))


@functools.cache
def _trunks() -> tuple[str, ...]:
    kinds = torchvision.models.detection, torchvision.models.segmentation
    return tuple(name for kind in kinds for name in torchvision.models.list_models(module=kind))


def _without_tag(architecture: str) -> str:
    return architecture.partition(".")[0]


def _weights(architecture: str, tag: str) -> WeightsEnum:
    name, _, chosen = architecture.partition(".")
    known = torchvision.models.get_model_weights(name)
    wanted = "IMAGENET1K_V1" if tag == "imagenet" else chosen or "DEFAULT"
    if not hasattr(known, wanted):
        raise UserError(
            f"weights: torchvision has no {wanted} weights of {name}, only {', '.join(known.__members__)}; "
            f"write the tag in the architecture, {name}.<tag>, and weights: pretrained"
        )
    weights: WeightsEnum = known[wanted] if wanted in known.__members__ else known.DEFAULT
    return weights


def _hash_in_name(weights: WeightsEnum) -> str:
    """The beginning of the file's sha256."""
    return Path(weights.url).stem.rpartition("-")[2]
