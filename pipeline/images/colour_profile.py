"""Colour profiles: which images say that their colours are not sRGB's."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io

import numpy as np
from PIL import Image, ImageCms

_NAME_LENGTH = 60
_SAME = 6  # of 255: below it a profile is sRGB by another name; Display P3 differs by 25, Adobe RGB by 60
_known: dict[bytes, str] = {}


def profile_other_than_srgb(profile: bytes | None) -> str:
    """The name of an ICC profile by which colours would look other than without it; '' where they do not.

    It is known by what it does, not by what it is called: sRGB has many names and makers.
    """
    if not profile:
        return ""
    key = hashlib.blake2b(profile, digest_size=16).digest()
    if key not in _known:  # a data set has few profiles and many images
        _known[key] = _other_than_srgb(profile)
    return _known[key]


def _other_than_srgb(data: bytes) -> str:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        mode = {"RGB": "RGB", "GRAY": "L"}.get(space)
        if mode is None:
            return _name(profile) or space
        colours = _some_colours(mode)
        seen = _to_srgb(profile, mode).apply(colours)
        meant, read = (np.asarray(image.convert("RGB")).astype(int) for image in (seen, colours))
        return "" if np.abs(meant - read).max() < _SAME else _name(profile) or "without a name"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "damaged"


def _to_srgb(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.buildTransform(profile, _srgb(), mode, "RGB", renderingIntent=intent)


@functools.cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _some_colours(mode: str) -> Image.Image:
    """Greys, or colours of all three channels, the darkest aside: there curves differ that look the same."""
    levels = np.arange(48, 256, 23, dtype=np.uint8)
    if mode == "L":
        return Image.fromarray(levels[None])
    red, green, blue = np.meshgrid(levels, levels, levels)
    return Image.fromarray(np.stack([red, green, blue], -1).reshape(len(levels), -1, 3))


def _name(profile: ImageCms.ImageCmsProfile) -> str:
    name = ""
    with contextlib.suppress(ImageCms.PyCMSError):
        name = " ".join(ImageCms.getProfileDescription(profile).split())
    return "".join(filter(str.isprintable, name))[:_NAME_LENGTH]
