"""Where an image's bytes are: a file, a place in a container, or a part of the picture that is there."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from ..files.remote import is_remote

_CROP = re.compile(r"#xywh=(\d+),(\d+),(\d+),(\d+)\Z")
_MEMBER = re.compile(r"(.+?\.tar)#(.+)@(\d+)\+(\d+)\Z")
_ROW = re.compile(r"(.+?\.parquet)#(.+/\d+)\Z")


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where an image is.

    As a text, which a manifest holds: `cat/1.jpg`; `shard-0.tar#cat/1.jpg@1536+20480`, a member of a tar, at
    that byte and so many of them; `train.parquet#image/12`, a column and a row. `#xywh=48,240,148,132` after
    it is the part of the picture that counts, in pixels (W3C, Media Fragments URI 1.0, 4.2.2). The file is a
    path or, as `s3://…`, anything that fsspec opens.

    Attributes
    ----------
    file : str
        A path or an address with a scheme.
    member : str
        The name of a tar's member, or `<column>/<row>` of a Parquet file; '' for the file itself.
    span : (offset, length), optional
        In bytes, of a tar's member.
    crop : (x, y, width, height), optional
        In pixels of the upright picture.
    """

    file: str
    member: str = ""
    span: tuple[int, int] | None = None
    crop: tuple[int, int, int, int] | None = None

    @classmethod
    def parse(cls, text: str, root: Path | str = "") -> Address:
        """Read what `str` of an address gives; a path starts from `root`, a folder or an address."""
        crop = span = None
        if found := _CROP.search(text):
            text, crop = text[: found.start()], tuple(map(int, found.groups()))
        member = ""
        if found := _MEMBER.match(text):
            text, member, span = found[1], found[2], (int(found[3]), int(found[4]))
        elif found := _ROW.match(text):
            text, member = found.groups()
        file = text if is_remote(text) or not root else f"{str(root).rstrip('/')}/{text}"
        return cls(file, member, span, crop)  # type: ignore[arg-type]

    def __str__(self) -> str:
        text = self.file
        if self.member:
            text += f"#{self.member}"
        if self.span:
            text += f"@{self.span[0]}+{self.span[1]}"
        return text if self.crop is None else f"{text}#xywh={','.join(map(str, self.crop))}"


def is_taken(name: str) -> bool:
    """Whether a file's name would be read as an address of something else."""
    return any(form.search(name) for form in (_CROP, _MEMBER, _ROW)) or is_remote(name)
