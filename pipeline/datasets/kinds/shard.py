"""A tar shard's samples: members of one name but for their endings, as the library webdataset packs them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, BinaryIO

import msgspec

from ...errors import UserError
from ...images.image_formats import SUFFIXES
from ...params.sections import Columns
from ..listing import refuse_unsafe
from ..walk import is_aside
from .tar_index import Member, members

_FIELDS = "label", "labels", "cls"  # of a sample's JSON, where `columns.labels` is not set
_UNLABELLED = "-1"  # as PyTorch's data sets have it
_LONGEST = 1 << 24  # bytes of a label's member
_Sample = Mapping[str, Member]  # by ending, in lower case


@dataclasses.dataclass(frozen=True)
class Shard:
    """The samples of a shard that have an image, in the archive's order.

    Attributes
    ----------
    keys : N str
        Their names without an ending.
    images : N str
        The names of the images' members.
    spans : N (offset, length)
    labels : N tuples of str, or None
        The classes; None where no member says.
    lacking : int
        Samples without an image, which are not among the N.
    links : int
        Symbolic links, which are not followed.
    """

    keys: list[str]
    images: list[str]
    spans: list[tuple[int, int]]
    labels: list[tuple[str, ...] | None]
    lacking: int
    links: int


def read_shard(file: BinaryIO, where: str, columns: Columns) -> Shard:
    """Read a shard's headers and labels; no image.

    A member's ending is what follows the first dot in its last part. An image is the member with the ending
    `columns.image`, or else with an image's. Its labels are in the member with the ending `columns.labels`, a
    class a line, or in that field of its .json; or else in `.cls`, or the field label, labels or cls.

    Raises
    ------
    UserError
        One line that names the archive and the member at fault.
    """
    samples, links = _samples(file, where)
    shard = Shard([], [], [], [], 0, links)
    wanted = None if columns.image == Columns().image else columns.image.lower().lstrip(".")
    lacking = 0
    for key, sample in samples.items():
        image = _image(sample, wanted, f"{where}#{key}")
        if image is None:
            lacking += 1
            continue
        refuse_unsafe(image.name, where)
        shard.keys.append(key)
        shard.images.append(image.name)
        shard.spans.append((image.offset, image.length))
        shard.labels.append(_labels(file, sample, columns, f"{where}#{key}"))
    return dataclasses.replace(shard, lacking=lacking)


def _samples(file: BinaryIO, where: str) -> tuple[dict[str, dict[str, Member]], int]:
    samples: dict[str, dict[str, Member]] = {}
    links, tied = 0, []
    for member in members(file, where):
        if member.is_file:
            _put(samples, member.name, member, where)
        elif member.is_hard:
            tied.append(member)
        elif member.target:
            links += 1
    for link in tied:  # the bytes are those of a file before it
        key, ending = _split(_clean(link.target, where))
        target = samples.get(key, {}).get(ending)
        if target is None:
            raise UserError(f"{where}: {link.name!r} is a link to {link.target!r}, which is not there")
        _put(samples, link.name, target._replace(name=link.name), where)
    return samples, links


def _put(samples: dict[str, dict[str, Member]], name: str, member: Member, where: str) -> None:
    clean = _clean(name, where)
    if not clean:
        return
    key, ending = _split(clean)
    sample = samples.setdefault(key, {})
    if ending in sample:
        raise UserError(f"{where}: {clean!r} is there twice; pack it anew")
    sample[ending] = member if clean == member.name else member._replace(name=clean)


def _clean(name: str, where: str) -> str:
    """A member's name as a path from nowhere; '' of a hidden file, and of what systems leave behind."""
    folder, _, last = name.rpartition("/")
    if (start := _clean_folder(folder)) is None:
        raise UserError(f"{where}: {name!r} leads out of the archive; pack it anew")
    return "" if start == "." or last.startswith(".") else start + last


@functools.lru_cache
def _clean_folder(folder: str) -> str | None:
    """A folder with a `/` at its end; '.' where it is passed over, None where it leads out of the archive."""
    parts = [part for part in folder.split("/") if part not in ("", ".")]
    if ".." in parts:
        return None
    if any(map(is_aside, parts)):
        return "."
    return "".join(f"{part}/" for part in parts)


def _split(name: str) -> tuple[str, str]:
    dot = name.find(".", name.rfind("/") + 1)
    return (name, "") if dot < 0 else (name[:dot], name[dot + 1 :].lower())


def _image(sample: _Sample, wanted: str | None, where: str) -> Member | None:
    if wanted is not None:
        return sample.get(wanted)
    found = [ending for ending in sample if f".{ending}" in SUFFIXES]
    # of `me.2020.01.jpg`, `2020.01.jpg` is the ending
    found = found or [ending for ending in sample if f".{ending.rpartition('.')[2]}" in SUFFIXES]
    if len(found) > 1:
        raise UserError(
            f"{where}: more than one image, {' and '.join(sorted(found)[:4])}; say which in "
            "dataset.columns.image, or give them names that differ before the first dot"
        )
    return sample[found[0]] if found else None


def _labels(file: BinaryIO, sample: _Sample, columns: Columns, where: str) -> tuple[str, ...] | None:
    named = columns.labels
    text = (named or "cls").lower().lstrip(".")
    if text in sample and text != "json":
        return _lines(_read(file, sample[text], where), columns.separator)
    if "json" not in sample:
        return None
    try:
        said: Any = msgspec.json.decode(_read(file, sample["json"], where))
    except (msgspec.DecodeError, RecursionError) as error:
        raise UserError(f"{where}.json: no JSON ({error})") from None
    if isinstance(said, dict):
        fields = (named,) if named else _FIELDS
        said = next((said[field] for field in fields if field in said), None)
    if said is None:
        return None
    values = said if isinstance(said, list) else [said]
    if any(isinstance(value, bool) or not isinstance(value, str | int) for value in values):
        raise UserError(
            f"{where}.json: labels are a name, a whole number or a list of them, not {said!r:.60}"
        )
    return _distinct(map(str, values), columns.separator)


@functools.lru_cache(1 << 14)  # a million images have a thousand labels
def _lines(text: str, separator: str | None) -> tuple[str, ...]:
    return _distinct(text.splitlines(), separator)


def _distinct(names: Any, separator: str | None) -> tuple[str, ...]:
    parts = (part for name in names for part in (name.split(separator) if separator else [name]))
    return tuple(dict.fromkeys(name for part in parts if (name := part.strip()) and name != _UNLABELLED))


def _read(file: BinaryIO, member: Member, where: str) -> str:
    if member.length > _LONGEST:
        raise UserError(f"{where}: {member.length} bytes of labels in {member.name!r}")
    file.seek(member.offset)
    try:
        return file.read(member.length).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{where}: {member.name!r} is not in UTF-8") from None
