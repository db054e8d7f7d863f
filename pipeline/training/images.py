"""The training images, decoded once, resized, and kept where batches are cut from them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ..images.address import Address
from ..images.image_parts import ImageParts, by_image
from ..images.read_ahead import threads_for
from ..images.transform import crop_or_pad, resize, resize_and_crop
from ..params import Preprocess
from ..progress import progress

_LONGEST = 4  # times the short side; a panorama's middle is enough, its ends would fill the memory
_AHEAD = 256  # images that are decoded before they are kept


def decode_for_training(paths: Sequence[Address], preprocess: Preprocess, scratch: Path) -> list[np.ndarray]:
    """Every image as `resized_for_training` gives it: (H, W, 3) uint8, no side shorter than the crop.

    Kept in memory; where half of what is free would not hold them, in an unnamed file in the folder
    `scratch`, mapped into memory.

    Raises
    ------
    UnreadableImage
        If a file has been damaged since the manifest was written.
    """

    def resized(image: Image.Image) -> np.ndarray:
        return resized_for_training(np.asarray(image), preprocess)

    return _decode(paths, resized, scratch, max(preprocess.resize, preprocess.crop) ** 2 * 4)


def decode_for_testing(paths: Sequence[Address], preprocess: Preprocess, scratch: Path) -> list[np.ndarray]:
    """As `decode_for_training`, but (crop, crop, 3): resized and cropped as for extraction."""

    def cropped(image: Image.Image) -> np.ndarray:
        return resize_and_crop(np.asarray(image), preprocess)

    return _decode(paths, cropped, scratch, preprocess.crop**2 * 3)


def resized_for_training(image: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Resize (H, W, 3) uint8 as `preprocess.mode` says, antialiased; the crop is left to the augmentation.

    `pad` adds around the image what a side lacks to the crop.
    """
    height, width = image.shape[:2]
    short = min(height, width)
    if preprocess.mode == "crop" and max(height, width) > _LONGEST * short:
        top, left = (max(0, side - _LONGEST * short) // 2 for side in (height, width))
        image = image[top : top + _LONGEST * short, left : left + _LONGEST * short]
    resized = resize(Image.fromarray(image), preprocess)
    at_least = [max(side, preprocess.crop) for side in resized.size]
    return np.asarray(crop_or_pad(resized, (at_least[0], at_least[1]), preprocess.fill))


def _decode(
    paths: Sequence[Address], prepare: Callable[[Image.Image], np.ndarray], scratch: Path, bytes_each: int
) -> list[np.ndarray]:
    keep = _in_memory if bytes_each * len(paths) < _free_memory() / 2 else _in_file(scratch)
    images: list[np.ndarray] = []

    def read(parts: Sequence[Address]) -> list[np.ndarray]:
        image = ImageParts()
        return [prepare(image.picture(part)) for part in parts]

    # threads are enough: Pillow decodes and resizes without the interpreter's lock
    with (
        ThreadPoolExecutor(threads_for(paths)) as pool,
        progress(total=len(paths), desc="decoding", unit="image") as bar,
    ):
        for start in range(0, len(paths), _AHEAD):
            for found in pool.map(read, by_image(paths[start : start + _AHEAD])):
                images += map(keep, found)
                bar.update(len(found))
    return images


def _in_memory(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image)


def _in_file(scratch: Path) -> Callable[[np.ndarray], np.ndarray]:
    scratch.mkdir(parents=True, exist_ok=True)
    file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 - lives as long as the maps into it

    def keep(image: np.ndarray) -> np.ndarray:
        offset = file.seek(0, os.SEEK_END)
        file.write(image.tobytes())
        file.flush()
        return np.memmap(file, np.uint8, "r", offset, image.shape)

    return keep


def _free_memory() -> int:
    """Bytes that can be had without swapping, within the control group's limit."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)
    if free is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.exists() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free
