"""An image of any size, resized and cropped or padded to the square that a network expects."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from ..params import Preprocess

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_MOST_PIXELS = 2**24  # that an image is resized to before it is cropped: 64 MB


class Picture(NamedTuple):
    """An upright RGB picture of `size` (width, height), of which the image shows `scale`.

    It does so in its upper left corner: what a decoder has to round up to whole pixels is no picture.
    """

    image: Image.Image
    size: tuple[int, int]
    scale: float = 1.0

    @property
    def shown(self) -> tuple[float, float]:
        """The width and height of the picture in the image's pixels."""
        return self.size[0] * self.scale, self.size[1] * self.scale


def resize_and_crop(image: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Resize an image (antialiased) and crop or pad it to a square, as `preprocess.mode` says.

    `crop`: the short side to `resize`, then the centre is cropped: torchvision's `Resize(resize)` and
    `CenterCrop(crop)`, timm's crop mode `center`, open_clip's resize mode `shortest`.
    `squash`: both sides to `resize`, then the centre is cropped: torchvision's `Resize((resize, resize))`
    and `CenterCrop(crop)`, timm's and open_clip's `squash`.
    `pad`: the long side to `resize`, then what lacks to `crop` is added around it in the color `fill`, and
    what is too much is cropped: timm's `border`, open_clip's `longest`.

    On a PIL image the pixels are those of these libraries, bit for bit, with two exceptions. Of a bilinear
    `crop` only the part that is kept is resampled, in three fifths of the time; Pillow rounds the edges of
    that part to float32, and may take the columns before the rows, so that on photographs 2 to 3 % of the
    values are one level off, the odd one two. The same is done to a `crop` of a panorama that would have
    more than `_MOST_PIXELS` before it is cropped.

    Parameters
    ----------
    image : (H, W, 3) uint8

    Returns
    -------
    (crop, crop, 3) uint8
    """
    return np.asarray(crop_centre(Image.fromarray(image), preprocess))


def crop_centre(image: Image.Image | Picture, preprocess: Preprocess) -> Image.Image:
    """`resize_and_crop` on a PIL image, or on a picture that may have been decoded at less than its size."""
    picture = image if isinstance(image, Picture) else Picture(image, image.size)
    width, height = resized_size(picture.size, preprocess)
    too_large = preprocess.mode == "crop" and width * height > _MOST_PIXELS
    if is_by_part(preprocess) or too_large:
        return _resample_part(picture, (width, height), preprocess)
    how = _FILTERS[preprocess.interpolation]
    resized = picture.image.resize((width, height), how, (0, 0, *picture.shown))
    return crop_or_pad(resized, (preprocess.crop, preprocess.crop), preprocess.fill)


def is_by_part(preprocess: Preprocess) -> bool:
    """Whether only what the crop keeps is resampled; it decides pixels, and so the key of the features."""
    return preprocess.mode == "crop" and preprocess.interpolation == "bilinear"


def resize(image: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Resize an image as `preprocess.mode` says, antialiased; neither cropped nor padded."""
    return image.resize(resized_size(image.size, preprocess), _FILTERS[preprocess.interpolation])


def resized_size(size: tuple[int, int], preprocess: Preprocess) -> tuple[int, int]:
    """The width and height to which an image of this width and height is resized.

    Rounded down as torchvision does; for `pad`, which torchvision has not, to the nearest as timm does, but
    no side to nothing.
    """
    if preprocess.mode == "squash":
        return preprocess.resize, preprocess.resize
    width, height = size
    if preprocess.mode == "pad":
        ratio = max(width, height) / preprocess.resize
        return max(1, round(width / ratio)), max(1, round(height / ratio))
    short = min(width, height)
    return preprocess.resize * width // short, preprocess.resize * height // short


def crop_or_pad(image: Image.Image, size: tuple[int, int], fill: tuple[int, int, int]) -> Image.Image:
    """The middle of an image, with `fill` around it where it is smaller than `size` (width, height)."""
    if image.size == size:
        return image
    framed = Image.new("RGB", size, fill)
    framed.paste(image, (-margin(image.width, size[0]), -margin(image.height, size[1])))
    return framed


def margin(side: int, crop: int) -> int:
    """What is cut off before the middle of a side; negative: what is added before it.

    Half a pixel is rounded as torchvision and timm round it: of a crop to the even number, of a padding down.
    """
    return round((side - crop) / 2) if side >= crop else -((crop - side) // 2)


def _resample_part(picture: Picture, resized: tuple[int, int], preprocess: Preprocess) -> Image.Image:
    """Resample only what the crop keeps: a panorama of 10000 x 10 pixels is as cheap as any other image."""
    (width, height), crop = picture.shown, preprocess.crop
    left, top = margin(resized[0], crop), margin(resized[1], crop)
    x, y = width / resized[0], height / resized[1]
    box = (left * x, top * y, min((left + crop) * x, width), min((top + crop) * y, height))
    return picture.image.resize((crop, crop), _FILTERS[preprocess.interpolation], box=box)
