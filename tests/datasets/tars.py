"""Tar shards for tests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from devkit import write_image

IMAGES = [(name, f"{name}/{i}") for name in ("cat", "dog") for i in range(6)]  # class and sample


def write_tar(
    path: Path, members: Mapping[str, bytes] | Iterable[tuple[str, bytes]], form: int = tarfile.USTAR_FORMAT
) -> None:
    """Write a tar with these files, by the library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))


def jpeg(folder: Path, shade: int) -> bytes:
    """The bytes of an image; another shade, another image."""
    path = folder / "jpeg.jpg"
    write_image(path, shade)
    data = path.read_bytes()
    path.unlink()
    return data


def write_shards(root: Path) -> None:
    """A dozen images of two classes, in a shard a split."""
    data = {name: (label, jpeg(root, n)) for n, (label, name) in enumerate(IMAGES)}
    for split, names in (("train", list(data)[::2]), ("test", list(data)[1::2])):
        members: dict[str, bytes] = {}
        for name in names:
            label, image = data[name]
            members |= {f"{name}.cls": label.encode(), f"{name}.jpg": image}
        write_tar(root / f"{split}-000000.tar", members)
