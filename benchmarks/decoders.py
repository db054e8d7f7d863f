"""Decoding by libjpeg-turbo beside Pillow, in one process: photographs as they are, and four times larger."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.contest import DIFFERENT, Peer, Row, contest, timed
from pool5.images.budget import ANY_MEMORY
from pool5.images.decoders import decoder_of, seen_by
from pool5.params import Preprocess

_PHOTOGRAPHS = Path("../shared/data/voc2012-animals/VOCdevkit/VOC2012/JPEGImages")
_PREPROCESS = Preprocess(resize=256, crop=224)


def decoder_rows(images: int = 200, runs: int = 5) -> list[Row]:
    """From the bytes of JPEG files to what a network sees; nothing where there are no photographs."""
    if not _PHOTOGRAPHS.is_dir():
        return []
    files = [path.read_bytes() for path in sorted(_PHOTOGRAPHS.glob("*.jpg"))[:images]]
    few = list(map(_four_times_as_wide, files[: images // 8]))
    return [*_row("500 px", files, runs), *_row("2000 px", few, runs)]


def _row(size: str, files: Sequence[bytes], runs: int) -> list[Row]:
    given = f"{len(files)} photographs of {size}, resized to 256, cropped to 224; one process"
    peer = Peer("Pillow", version("pillow"), timed(functools.partial(_decode, "pillow", files)), _agreement)
    ours = timed(functools.partial(_decode, "turbojpeg", files))
    return contest(
        f"decoding by turbojpeg, {size}", given, "Pool5, turbojpeg", ours, [peer], runs, warm_up=True
    )


def _decode(name: str, files: Sequence[bytes]) -> np.ndarray:
    decoder = decoder_of(name)
    return np.stack([seen_by(decoder, data, "a", ANY_MEMORY, _PREPROCESS) for data in files])


def _agreement(ours: np.ndarray, theirs: np.ndarray) -> str:
    far = np.abs(ours.astype(int) - theirs)
    word = "" if far.mean() < 2 else DIFFERENT
    return f"{word}pixels {far.mean():.2f} of 255 levels apart in the mean, {far.max()} at most"


def _four_times_as_wide(data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data))
    buffer = io.BytesIO()
    image.resize((4 * image.width, 4 * image.height)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
