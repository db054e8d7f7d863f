"""JPEG files decoded, resized and cropped on the device of the network, by nvJPEG where that is a GPU."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torchvision.io import ImageReadMode, decode_jpeg

from ..errors import UserError
from ..params import Preprocess
from .card_resample import resample
from .device_errors import first_line, has_failed, lacks_memory

CPU_STANDS_IN = False  # nvjpeg is not refused on a CPU, whose own decoder has other pixels: for tests
_PADDED_PIXELS = 1 << 25  # that are resized together, each image filled up to the largest: 100 MB
# what nvJPEG says of a file (nvjpegStatus_t: bad, not supported, incomplete); other numbers are of the device
_OF_THE_FILE = re.compile(r": (3|4|10)$|chroma subsampling")


def check_decoder(decoder: str, device: torch.device) -> None:
    """Refuse one that decodes on a GPU where the network is on none."""
    if decoder == "nvjpeg" and device.type != "cuda" and not CPU_STANDS_IN:
        raise UserError(
            "extract.decoder: nvjpeg decodes on a CUDA device, and the network is on the CPU; take turbojpeg"
        )


def decode_on(
    device: torch.device, images: np.ndarray, encoded: Mapping[int, np.ndarray], preprocess: Preprocess
) -> tuple[torch.Tensor, dict[int, str]]:
    """Put the pixels of JPEG files into a batch, on the device.

    A file's pixels depend neither on the other files nor on how many there are.

    Parameters
    ----------
    images : (B, crop, crop, 3) uint8
        The batch; what stands at the places of the files is not looked at.
    encoded : {place: (n,) uint8}
        Files that `images.plain_jpeg` calls plain.

    Returns
    -------
    images : (B, crop, crop, 3) uint8 tensor
        Ready on the device, for its current stream.
    refused : {place: reason}
        Files that the device's decoder calls damaged or unknown.

    Raises
    ------
    UserError
        If the device cannot decode, or lacks the memory for a single image.
    """
    with torch.inference_mode(), _aside(device):
        seen = torch.zeros(images.shape, dtype=torch.uint8, device=device)
        rest = [place for place in range(len(images)) if place not in encoded]
        seen[rest] = torch.from_numpy(images[rest]).to(device)
        refused: dict[int, str] = {}
        if not _put_together(seen, encoded, preprocess):
            if device.type == "cuda":
                torch.cuda.empty_cache()  # nvJPEG takes its memory by itself, and not what torch has kept
            for place, file in encoded.items():
                try:
                    _put(seen, {place: _decoded([file], device)[0]}, preprocess)
                except RuntimeError as error:
                    refused[place] = _why(error, device)
    if device.type == "cuda":
        seen.record_stream(torch.cuda.current_stream(device))
    return seen, refused


def _put_together(seen: torch.Tensor, encoded: Mapping[int, np.ndarray], preprocess: Preprocess) -> bool:
    """Whether all could be; if not, it is for one of them, or for the memory that all would take."""
    try:
        found = _decoded(list(encoded.values()), seen.device)
        for some in _portions(dict(zip(encoded, found, strict=True))):
            _put(seen, some, preprocess)
    except RuntimeError:
        return False
    return True


def _decoded(files: Sequence[np.ndarray], device: torch.device) -> list[torch.Tensor]:
    """(3, H, W) uint8 of each."""
    if device.type == "cuda":
        # nvJPEG writes on a stream of its own, into memory that what is asked of this one may still read
        torch.cuda.current_stream(device).synchronize()
    data = [torch.from_numpy(file if file.flags.writeable else file.copy()) for file in files]
    pixels: list[torch.Tensor] = decode_jpeg(data, ImageReadMode.RGB, device)
    return pixels


def _why(error: RuntimeError, device: torch.device) -> str:
    """What is wrong with the file; `UserError` where it is not the file."""
    if has_failed(error):
        raise error
    told = first_line(error)
    if lacks_memory(error) or (device.type == "cuda" and not _OF_THE_FILE.search(told.strip())):
        raise UserError(f"extract.decoder: nvjpeg: {told}; take turbojpeg or pillow") from None
    return f"the device's decoder refuses it ({told})"


def _portions(found: Mapping[int, torch.Tensor]) -> Iterator[dict[int, torch.Tensor]]:
    """The images in portions that may be filled up to the largest of them."""
    portion: dict[int, torch.Tensor] = {}
    height = width = 0
    for place, pixels in found.items():
        height, width = max(height, pixels.shape[1]), max(width, pixels.shape[2])
        if portion and (len(portion) + 1) * height * width > _PADDED_PIXELS:
            yield portion
            portion, (height, width) = {}, pixels.shape[1:]
        portion[place] = pixels
    if portion:
        yield portion


def _put(seen: torch.Tensor, some: Mapping[int, torch.Tensor], preprocess: Preprocess) -> None:
    seen[list(some)] = resample(list(some.values()), preprocess)


@contextlib.contextmanager
def _aside(device: torch.device) -> Iterator[None]:
    """On a stream that waits for no forward pass; at the end all is done that was asked of it."""
    if device.type != "cuda":
        yield
        return
    stream = _stream_of(device)
    with torch.cuda.device(device), torch.cuda.stream(stream):
        yield
        stream.synchronize()


@functools.cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
