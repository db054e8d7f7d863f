"""Tiny images in tar shards, as many as wanted: what lists of a million images are measured with.

Usage: python -m benchmarks.tar_shards FOLDER [IMAGES] [CLASSES]

FOLDER/train-000000.tar, … and test-000000.tar, …, each of 10,000 samples: a JPEG of 32 x 32 pixels, and its
class as a number in a .cls, as the library webdataset writes them. All images are different; the same bytes
for the same arguments. A million take half a minute on two cores, and 2.6 GB.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg

IN_A_SHARD = 10_000
TEST_SHARE = 0.2
SIDE = 32
_BLOCK = 512


def main(folder: str, images: str = "1000000", classes: str = "1000") -> None:
    start = time.perf_counter()
    shards = write_shards(Path(folder), int(images), int(classes))
    size = sum(shard.stat().st_size for shard in shards)
    seconds = time.perf_counter() - start
    print(
        f"{images} images of {classes} classes in {len(shards)} shards, {size / 1e9:.2f} GB, {seconds:.0f} s"
    )


def write_shards(folder: Path, images: int, classes: int, processes: int = 2) -> list[Path]:
    """Write the shards of a data set; gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    held_out = round(TEST_SHARE * images)
    tasks = []
    for split, first, last in (("test", 0, held_out), ("train", held_out, images)):
        for number, start in enumerate(range(first, last, IN_A_SHARD)):
            path = folder / f"{split}-{number:06d}.tar"
            tasks.append((path, start, min(start + IN_A_SHARD, last), classes))
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(_write_shard, *zip(*tasks, strict=True)))


def _write_shard(path: Path, first: int, last: int, classes: int) -> Path:
    rng = np.random.default_rng([0, first])
    coarse = rng.integers(0, 256, (last - first, 4, 4, 3), np.uint8)
    with path.open("wb") as file:
        for number, small in zip(range(first, last), coarse, strict=True):
            image = np.ascontiguousarray(small.repeat(SIDE // 4, 0).repeat(SIDE // 4, 1))
            jpeg = simplejpeg.encode_jpeg(image, quality=80, colorspace="RGB", colorsubsampling="420")
            file.write(_member(f"{number:09d}.cls", str(number % classes).encode()))
            file.write(_member(f"{number:09d}.jpg", jpeg))
        file.write(bytes(2 * _BLOCK))
    return path


def _member(name: str, data: bytes) -> bytes:
    """A file of a tar (ustar); by hand, as tarfile takes longer for it than the image."""
    fields = [
        name.encode().ljust(100, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0", b"%011o\0" % len(data),
        b"%011o\0" % 0, b" " * 8, b"0", b"".ljust(100, b"\0"), b"ustar\x0000", b"".ljust(247, b"\0"),
    ]  # fmt: skip
    header = b"".join(fields)
    checked = header[:148] + b"%06o\0 " % sum(header) + header[156:]
    return checked + data + bytes(-len(data) % _BLOCK)


if __name__ == "__main__":
    main(*sys.argv[1:])
