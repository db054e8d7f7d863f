"""Random changes to training images: drawn for a whole epoch, applied to a batch on the device."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import grid_sample

from ..params import Augment, Preprocess

_TRIES = 10  # as torchvision's RandomResizedCrop
_GREY = (0.2989, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Changes:
    """What happens to each of N images in one epoch.

    Attributes
    ----------
    boxes : (N, 4) int64
        Top, left, height and width of the part that becomes the crop.
    flips : (N,) bool
    brightness, contrast, saturation : (N,) float32
        Factors; 1 changes nothing.
    hue : (N,) float32
        Shift in turns of the colour circle.
    order : (4,) int64
        In which order the four are applied.
    """

    boxes: torch.Tensor
    flips: torch.Tensor
    brightness: torch.Tensor
    contrast: torch.Tensor
    saturation: torch.Tensor
    hue: torch.Tensor
    order: torch.Tensor

    def take(self, rows: torch.Tensor) -> Changes:
        """The changes of some images."""
        fields = {f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self) if f.name != "order"}
        return Changes(**fields, order=self.order)


def draw_changes(sizes: torch.Tensor, augment: Augment, crop: int, generator: torch.Generator) -> Changes:
    """Draw the changes of an epoch, as torchvision's RandomResizedCrop, flip and ColorJitter draw them.

    The generator alone decides, so that neither the device nor the number of workers matters.

    Parameters
    ----------
    sizes : (N, 2) int64
        Height and width of each image, at least `crop`.
    """
    count = len(sizes)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def factor(strength: float) -> torch.Tensor:
        low = max(0.0, 1 - strength)
        return (low + (1 + strength - low) * uniform(count)).float()

    if augment.scale is None:
        shape = torch.full((count, 2), crop)
    else:
        shape = _random_shapes(sizes, augment.scale, augment.ratio, uniform(count, _TRIES, 2))
    places = (uniform(count, 2) * (sizes - shape + 1)).long()
    return Changes(
        boxes=torch.cat([places, shape], 1),
        flips=uniform(count) < augment.flip,
        brightness=factor(augment.brightness),
        contrast=factor(augment.contrast),
        saturation=factor(augment.saturation),
        hue=((2 * uniform(count) - 1) * augment.hue).float(),
        order=torch.randperm(4, generator=generator),
    )


def _random_shapes(
    sizes: torch.Tensor, scale: tuple[float, float], ratio: tuple[float, float], draws: torch.Tensor
) -> torch.Tensor:
    """(N, 2) height and width: the first try that fits, else the most that has an allowed ratio."""
    area = sizes.prod(1, keepdim=True) * (scale[0] + (scale[1] - scale[0]) * draws[..., 0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * draws[..., 1])
    tried = torch.stack([torch.sqrt(area / aspect), torch.sqrt(area * aspect)], -1).round().long()
    fits = ((tried > 0) & (tried <= sizes[:, None])).all(-1)
    first = tried[torch.arange(len(sizes)), fits.int().argmax(1)]
    height, width = sizes.unbind(1)
    widest = torch.minimum(width, (height * ratio[1]).round().long())
    tallest = torch.minimum(height, (width / ratio[0]).round().long())
    return torch.where(fits.any(1, keepdim=True), first, torch.stack([tallest, widest], 1))


def augmented_batch(
    images: Sequence[np.ndarray], changes: Changes, preprocess: Preprocess, device: torch.device
) -> torch.Tensor:
    """Crop, resize, flip, jitter and normalise a batch.

    Parameters
    ----------
    images : B arrays (H, W, 3) uint8
    changes : Changes
        Of these B images.

    Returns
    -------
    (B, 3, crop, crop) float32, channels last, on `device`
    """
    boxes = changes.boxes
    height, width = (max(2, int(side)) for side in boxes[:, 2:].amax(0))
    canvas = torch.zeros((len(images), height, width, 3), dtype=torch.uint8)
    if device.type == "cuda":
        canvas = canvas.pin_memory()
    parts = canvas.numpy()
    for row, (image, (top, left, h, w)) in enumerate(zip(images, boxes.tolist(), strict=True)):
        parts[row, :h, :w] = image[top : top + h, left : left + w]

    def there(values: torch.Tensor) -> torch.Tensor:
        return values.to(device, non_blocking=True)

    grid = _sampling_grid(there(boxes[:, 2:]), there(changes.flips), preprocess.crop, (height, width))
    pixels = there(canvas).permute(0, 3, 1, 2).float() / 255
    pixels = grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=True)
    for which in changes.order.tolist():
        pixels = _JITTERS[which](pixels, changes)
    return normalised(pixels, preprocess)


def plain_batch(images: Sequence[np.ndarray], preprocess: Preprocess, device: torch.device) -> torch.Tensor:
    """Normalise B cropped images (crop, crop, 3) uint8 to (B, 3, crop, crop) float32 on `device`."""
    pixels = torch.from_numpy(np.stack(images)).to(device)
    return normalised(pixels.permute(0, 3, 1, 2).float() / 255, preprocess)


def normalised(pixels: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """(B, 3, H, W) in [0, 1] to the mean and scale that the network expects, channels last."""
    mean = torch.tensor(preprocess.mean, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(preprocess.std, device=pixels.device).view(3, 1, 1)
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def _sampling_grid(
    shapes: torch.Tensor, flips: torch.Tensor, crop: int, canvas: tuple[int, int]
) -> torch.Tensor:
    """(B, crop, crop, 2) places on the canvas where each pixel of the crop is taken.

    Pixel centres as in torch's interpolate(align_corners=False), clamped so that nothing outside of an
    image's own part of the canvas is touched.
    """
    steps = (torch.arange(crop, device=shapes.device, dtype=torch.float32) + 0.5) / crop
    axes = []
    for axis in (0, 1):
        length = shapes[:, axis, None].float()
        places = torch.minimum((steps * length - 0.5).clamp(min=0), length - 1)
        axes.append(places * (2 / (canvas[axis] - 1)) - 1)
    y, x = axes
    x = torch.where(flips[:, None], x.flip(1), x)
    return torch.stack([x[:, None, :].expand(-1, crop, -1), y[:, :, None].expand(-1, -1, crop)], -1)


def _per_image(values: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    return values.to(pixels.device, non_blocking=True).view(-1, 1, 1, 1)


def _grey(pixels: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor(_GREY, device=pixels.device).view(3, 1, 1)
    return (pixels * weights).sum(1, keepdim=True)


def _blend(pixels: torch.Tensor, other: torch.Tensor | float, factors: torch.Tensor) -> torch.Tensor:
    return (factors * pixels + (1 - factors) * other).clamp(0, 1)


def _brightness(pixels: torch.Tensor, changes: Changes) -> torch.Tensor:
    if bool((changes.brightness == 1).all()):
        return pixels
    return _blend(pixels, 0.0, _per_image(changes.brightness, pixels))


def _contrast(pixels: torch.Tensor, changes: Changes) -> torch.Tensor:
    if bool((changes.contrast == 1).all()):
        return pixels
    mean = _grey(pixels).mean((2, 3), keepdim=True)
    return _blend(pixels, mean, _per_image(changes.contrast, pixels))


def _saturation(pixels: torch.Tensor, changes: Changes) -> torch.Tensor:
    if bool((changes.saturation == 1).all()):
        return pixels
    return _blend(pixels, _grey(pixels), _per_image(changes.saturation, pixels))


def _hue(pixels: torch.Tensor, changes: Changes) -> torch.Tensor:
    if bool((changes.hue == 0).all()):
        return pixels
    value, brightest = pixels.max(1, keepdim=True)
    chroma = value - pixels.amin(1, keepdim=True)
    red, green, blue = pixels.split(1, 1)  # type: ignore[no-untyped-call]
    safe = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    sixths = torch.where(
        brightest == 0,
        (green - blue) / safe,
        torch.where(brightest == 1, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixths = sixths + 6 * _per_image(changes.hue, pixels)
    # HSV to RGB in closed form: each channel is the value less the chroma over a trapezoid of the hue
    offsets = torch.tensor([5.0, 3.0, 1.0], device=pixels.device).view(3, 1, 1)
    k = (offsets + sixths).remainder(6)
    return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)


_JITTERS = (_brightness, _contrast, _saturation, _hue)
