"""CaffeNet: the AlexNet of Caffe without groups and local response normalisation."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

import torch
from torch import nn

from ...errors import UserError
from .source import ModelSource


class CaffeNetSource(ModelSource):
    """As `ModelSource` says; there are no published weights."""

    name: ClassVar[str] = "CaffeNet"

    def spells(self, architecture: str) -> bool:
        """The one name."""
        return architecture == "caffenet"

    def architectures(self) -> tuple[str, ...]:
        """The one name."""
        return ("caffenet",)

    def build(self, architecture: str, num_outputs: int, crop: int, **options: Any) -> nn.Module:
        """As `CaffeNet`, which draws the weights."""
        return CaffeNet(num_outputs, crop, **options)

    def weights(self, architecture: str, tag: str) -> NoReturn:
        """Refused."""
        raise UserError(f"weights: there are no {tag} weights of caffenet; alexnet has some")


class CaffeNet(nn.Module):
    """Five convolutions and three fully connected layers, one ReLU each but the last.

    Krizhevsky et al., "ImageNet classification with deep convolutional neural networks" (2012), with the
    layer names of Caffe's `bvlc_reference_caffenet`. `fc6` and `fc7` are the values after the ReLU and
    before the dropout, as Caffe stores them.

    Parameters
    ----------
    num_outputs : int
        Width of `logits`.
    crop : int
        Side in pixels of the input, 67 or more; decides the width of `pool5` (5 x 5 x 256 = 6400 at 224).

    Raises
    ------
    ValueError
        If nothing is left of an image after the third pooling.
    """

    def __init__(self, num_outputs: int, crop: int = 224) -> None:
        super().__init__()
        side = pool5_side(crop)
        if side < 1:
            raise ValueError(f"images of {crop} px are too small")
        self.conv1 = _rectified(nn.Conv2d(3, 96, 11, stride=4))
        self.pool1 = nn.MaxPool2d(3, stride=2)
        self.conv2 = _rectified(nn.Conv2d(96, 256, 5, padding=2))
        self.pool2 = nn.MaxPool2d(3, stride=2)
        self.conv3 = _rectified(nn.Conv2d(256, 384, 3, padding=1))
        self.conv4 = _rectified(nn.Conv2d(384, 384, 3, padding=1))
        self.conv5 = _rectified(nn.Conv2d(384, 256, 3, padding=1))
        self.pool5 = nn.MaxPool2d(3, stride=2)
        self.fc6 = _rectified(nn.Linear(256 * side * side, 4096))
        self.drop6 = nn.Dropout(0.5)
        self.fc7 = _rectified(nn.Linear(4096, 4096))
        self.drop7 = nn.Dropout(0.5)
        self.logits = nn.Linear(4096, num_outputs)
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.zeros_(self.logits.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, crop, crop) normalised images to (B, num_outputs) logits."""
        x = self.pool1(self.conv1(images))
        x = self.pool2(self.conv2(x))
        x = self.pool5(self.conv5(self.conv4(self.conv3(x))))
        x = self.drop6(self.fc6(torch.flatten(x, 1)))
        x = self.drop7(self.fc7(x))
        logits: torch.Tensor = self.logits(x)
        return logits


def pool5_side(crop: int) -> int:
    """Side of pool5's map for a square input of `crop` pixels; below 1 where the input is too small."""
    side = (crop - 11) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side


def _rectified(layer: nn.Conv2d | nn.Linear) -> nn.Sequential:
    """`layer` and its ReLU, under one name; drawn as He et al. (2015) derive it for a ReLU."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return nn.Sequential(layer, nn.ReLU(inplace=True))
