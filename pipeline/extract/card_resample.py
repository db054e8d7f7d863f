"""Resizing and cropping on the network's device, with Pillow's arithmetic.

That is of integers (22 binary digits of a weight), so that neither the device nor what else is in the batch
can change a value. Rows come before columns; where Pillow 13 does the same, the pixels are Pillow's to the
bit. It takes the columns first of a picture that is about twice as high as wide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from ..images.transform import margin, resized_size
from ..params import Preprocess

_DIGITS = 22
_SUPPORT = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}


def resample(images: Sequence[torch.Tensor], preprocess: Preprocess) -> torch.Tensor:
    """As `images.transform.crop_centre`, which has the whole crop resampled from the whole image.

    Parameters
    ----------
    images : list of n (3, H, W) uint8 tensors
        On one device; their sizes may differ.

    Returns
    -------
    (n, crop, crop, 3) uint8 tensor
    """
    device, crop = images[0].device, preprocess.crop
    sizes = np.array([(image.shape[2], image.shape[1]) for image in images])
    resized = np.array([resized_size((width, height), preprocess) for width, height in sizes.tolist()])
    first = np.array([[margin(side, crop) for side in size] for size in resized.tolist()])
    width, height = sizes.max(0).tolist()
    pixels = torch.zeros((len(images), 3, height, width), dtype=torch.uint8, device=device)
    for place, image in zip(pixels, images, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    inside = []
    for axis in (0, 1):  # of (width, height), as Pillow does
        into, out, start = (torch.from_numpy(each[:, axis]).to(device) for each in (sizes, resized, first))
        position = start[:, None] + torch.arange(crop, device=device)  # (n, crop) in the resized image
        inside.append((position >= 0) & (position < out[:, None]))
        pixels = _along(pixels, position, into, out, preprocess.interpolation, 3 - axis)
    fill = torch.tensor(preprocess.fill, dtype=torch.uint8, device=device)
    kept = (inside[1][:, :, None] & inside[0][:, None, :])[..., None]
    return torch.where(kept, pixels.permute(0, 2, 3, 1), fill)


def _along(
    pixels: torch.Tensor, position: torch.Tensor, into: torch.Tensor, out: torch.Tensor, name: str, dim: int
) -> torch.Tensor:
    """The (n, 3, …) pixels resampled along a dimension, at (n, count) positions of the `out` there are."""
    index, weights = _taps(position, into, out, name)
    one = (slice(None), None, None) if dim == 3 else (slice(None), None, slice(None), None)
    shape = list(pixels.shape)
    shape[dim] = position.shape[1]
    total = torch.full(shape, 1 << (_DIGITS - 1), dtype=torch.int32, device=pixels.device)
    for at, weight in zip(index.unbind(2), weights.unbind(2), strict=True):
        total += pixels.gather(dim, at[one].expand(shape)).int() * weight[one]
    return (total >> _DIGITS).clamp(0, 255).to(torch.uint8)


def _taps(
    position: torch.Tensor, into: torch.Tensor, out: torch.Tensor, name: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of the `into` pixels make those at (n, count) positions, by which weights: (n, count, taps)."""
    step = (into / out.double())[:, None]
    wide = step.clamp(min=1.0)  # a filter as wide as what becomes one pixel: antialiasing
    support = _SUPPORT[name] * wide
    centre = (position + 0.5) * step
    begin = (centre - support + 0.5).trunc().clamp(min=0)
    end = torch.minimum((centre + support + 0.5).trunc(), into[:, None])
    taps = math.ceil(float(support.max())) * 2 + 1
    index = begin[..., None] + torch.arange(taps, device=position.device)
    weights = _filter((index + 0.5 - centre[..., None]) / wide[..., None], name)
    weights = weights.where(index < end[..., None], 0.0)
    sums = torch.zeros_like(centre)
    for weight in weights.unbind(2):  # one after the other: how many there are then changes no bit
        sums += weight
    weights = weights / sums.where(sums != 0, 1.0)[..., None] * (1 << _DIGITS)
    last = (into - 1)[:, None, None]
    return torch.minimum(index.long().clamp(min=0), last), (weights + weights.sign() / 2).int()


def _filter(x: torch.Tensor, name: str) -> torch.Tensor:
    x = x.abs()
    if name == "bilinear":
        return (1 - x).clamp(min=0)
    if name == "bicubic":  # Keys 1981, a = -1/2
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        return torch.where(x < 1, near, far.where(x < 2, 0.0))
    return (torch.sinc(x) * torch.sinc(x / 3)).where(x < 3, 0.0)
