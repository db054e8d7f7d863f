"""Every classification model of torchvision, and its first ImageNet weights."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import nn

from ...errors import UserError
from ...files.download import download
from .source import PublishedWeights

_SIDE_HEADS = ("aux1.", "aux2.", "AuxLogits.")


class TorchvisionSource:
    """As `ModelSource` says; weights are torchvision's IMAGENET1K_V1, in its own cache (TORCH_HOME)."""

    name = "torchvision classification model"

    @functools.cache  # noqa: B019 - one object for the whole program
    def architectures(self) -> tuple[str, ...]:
        """As torchvision lists them."""
        return tuple(torchvision.models.list_models(module=torchvision.models))

    def build(self, architecture: str, num_outputs: int, crop: int) -> nn.Module:
        """As `torchvision.models.get_model`, without heads that are for training alone."""
        options: dict[str, object] = {}
        if architecture in ("googlenet", "inception_v3"):
            # the side heads exist only for training on ImageNet, and change what forward() returns
            # and torchvision's weights of these two want the images in another range
            options = {"aux_logits": False, "init_weights": True, "transform_input": True}
        elif architecture.startswith("vit_"):
            options = {"image_size": crop}
        elif architecture == "maxvit_t":
            options = {"input_size": (crop, crop)}
        network: nn.Module = torchvision.models.get_model(
            architecture, weights=None, num_classes=num_outputs, **options
        )
        return network

    def weights(self, architecture: str, tag: str) -> PublishedWeights:
        """IMAGENET1K_V1, checked against the hash in the file's name."""
        known = torchvision.models.get_model_weights(architecture)
        if not hasattr(known, "IMAGENET1K_V1"):
            raise UserError(
                f"weights: torchvision has no IMAGENET1K_V1 weights of {architecture}, only "
                f"{', '.join(known.__members__)}; fetch those and give the file and its sha256"
            )
        chosen = known.IMAGENET1K_V1
        path = Path(torch.hub.get_dir()) / "checkpoints" / chosen.url.rpartition("/")[2]
        try:
            # the beginning of the sha256 is in the file's name
            download(chosen.url, path, f"sha256:{path.stem.rpartition('-')[2]}")
        except UserError as error:
            raise UserError(
                f"{error}, or set TORCH_HOME to a folder with hub/checkpoints/{path.name}"
            ) from None
        return PublishedWeights(path, tuple(chosen.meta["categories"]), f"torchvision {chosen}")

    def own_names(self, architecture: str, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Today's names, without the side heads."""
        if architecture in ("googlenet", "inception_v3"):
            return {k: v for k, v in state.items() if not k.startswith(_SIDE_HEADS)}
        if architecture.startswith("densenet"):  # checkpoints of torchvision's early days
            old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
            return {old.sub(r"\1\2.", key): value for key, value in state.items()}
        return dict(state)
