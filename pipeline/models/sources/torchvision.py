"""Every classification model of torchvision, and its first ImageNet weights."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models import WeightsEnum

from ...errors import UserError
from ...files.download import download
from .source import PublishedWeights

_INCEPTION = ("googlenet", "inception_v3")
_SIDE_HEADS = ("aux1.", "aux2.", "AuxLogits.")


class TorchvisionSource:
    """As `ModelSource` says; weights are torchvision's IMAGENET1K_V1, in its own cache (TORCH_HOME)."""

    name = "torchvision classification model"

    @functools.cache  # noqa: B019 - one object for the whole program
    def architectures(self) -> tuple[str, ...]:
        """As torchvision lists them."""
        return tuple(torchvision.models.list_models(module=torchvision.models))

    def build(self, architecture: str, num_outputs: int, crop: int, **options: bool) -> nn.Module:
        """As `torchvision.models.get_model`, without heads that are for training alone."""
        fixed: dict[str, object] = {}
        if architecture in _INCEPTION:
            # the side heads exist only for training on ImageNet, and change what forward() returns;
            # cards of the first version do not say that it was built with transform_input
            fixed = {"aux_logits": False, "init_weights": True, "transform_input": True}
        elif architecture.startswith("vit_"):
            fixed = {"image_size": crop}
        elif architecture == "maxvit_t":
            fixed = {"input_size": (crop, crop)}
        network: nn.Module = torchvision.models.get_model(
            architecture, weights=None, num_classes=num_outputs, **fixed | options
        )
        return network

    def options(self, architecture: str, sha256: str | None = None) -> dict[str, bool]:
        """Whether to bring the images into the range that torchvision's own weights of these two want."""
        if architecture not in _INCEPTION:
            return {}
        published = _hash_in_name(_first_version(architecture))
        return {"transform_input": (sha256 or "").startswith(published)}

    def preprocessing(self, architecture: str, tag: str) -> dict[str, Any]:
        """As the weights' `transforms()` has it."""
        transform = _first_version(architecture).transforms()
        return {
            "resize": transform.resize_size[0],
            "crop": transform.crop_size[0],
            "interpolation": transform.interpolation.value,
            "mean": list(transform.mean),
            "std": list(transform.std),
        }

    def weights(self, architecture: str, tag: str) -> PublishedWeights:
        """IMAGENET1K_V1, checked against the hash in the file's name."""
        chosen = _first_version(architecture)
        path = Path(torch.hub.get_dir()) / "checkpoints" / chosen.url.rpartition("/")[2]
        try:
            download(chosen.url, path, f"sha256:{_hash_in_name(chosen)}")
        except UserError as error:
            raise UserError(
                f"{error}, or set TORCH_HOME to a folder with hub/checkpoints/{path.name}"
            ) from None
        return PublishedWeights(path, tuple(chosen.meta["categories"]), f"torchvision {chosen}")

    def own_names(self, architecture: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Today's names, without the side heads."""
        if architecture in _INCEPTION:
            return {k: v for k, v in state.items() if not k.startswith(_SIDE_HEADS)}
        if architecture.startswith("densenet"):  # checkpoints of torchvision's early days
            old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
            return {old.sub(r"\1\2.", key): value for key, value in state.items()}
        return dict(state)


def _first_version(architecture: str) -> WeightsEnum:
    known = torchvision.models.get_model_weights(architecture)
    if not hasattr(known, "IMAGENET1K_V1"):
        raise UserError(
            f"weights: torchvision has no IMAGENET1K_V1 weights of {architecture}, only "
            f"{', '.join(known.__members__)}; fetch those and give the file and its sha256"
        )
    weights: WeightsEnum = known.IMAGENET1K_V1
    return weights


def _hash_in_name(weights: WeightsEnum) -> str:
    """The beginning of the file's sha256."""
    return Path(weights.url).stem.rpartition("-")[2]
