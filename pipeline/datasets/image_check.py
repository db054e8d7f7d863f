"""Is every file an image? Found out before anything is computed from one."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import re
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import Synchronized, SynchronizedArray
from pathlib import Path

from ..errors import UserError
from ..files.hints import counted
from ..machine import cores
from ..params import Extract
from ..progress import progress
from .address import Address
from .image_bytes import Budget, TooLarge, UnreadableImage, digest_of, read_bytes
from .image_file import decode_whole

_WORTH_A_POOL = 200  # below this, starting processes costs more than they bring
_NAMED = 10
_JUNK = 1 / 200  # of a JPEG's bytes; 200 zeroed ones leave less behind, half a file of zeros more


@dataclasses.dataclass(frozen=True)
class ImageFact:
    """What is known of a file.

    Attributes
    ----------
    digest : bytes
        BLAKE2b-128 of the file's bytes.
    size : (width, height)
        As stored.
    doubt : str
        What may be wrong with it; '' where nothing is.
    turned : bool
        Whether the upright picture is as wide as the stored one is high.
    """

    digest: bytes
    size: tuple[int, int]
    doubt: str = ""
    turned: bool = False


@dataclasses.dataclass(frozen=True)
class BadImage:
    """A file that gives no image, and why."""

    path: str
    reason: str
    too_large: bool = False


def check_images(
    root: Path | str, paths: Sequence[str], memory_gb: float = Extract().memory_gb
) -> dict[str, ImageFact | BadImage]:
    """Read and wholly decode each file; a JPEG cut in half is known only by that.

    Parameters
    ----------
    paths : relative to `root`
    memory_gb : float
        What one image may take.

    Returns
    -------
    By path, in the order given; a path that is given twice is read once.

    Raises
    ------
    UserError
        If an image takes more memory than it may, or the process that reads one is killed.
    """
    paths = list(dict.fromkeys(paths))
    tasks = [(Path(root), path) for path in paths]
    with progress(total=len(tasks), desc="checking images", unit="image") as bar:
        facts: dict[str, ImageFact | BadImage] = {}
        with contextlib.closing(_map(tasks, memory_gb)) as found:
            for path, fact in zip(paths, found, strict=True):
                facts[path] = fact
                bar.update()
    if large := [fact for fact in facts.values() if isinstance(fact, BadImage) and fact.too_large]:
        raise UserError(f"{_named([f'{bad.path} ({bad.reason})' for bad in large])}; {TooLarge.remedy}")
    return facts


def doubts(facts: Mapping[str, ImageFact | BadImage]) -> list[str]:
    """What may be wrong with images that were read all the same: a sentence a kind."""
    kinds: dict[str, list[str]] = {}
    for path, fact in facts.items():
        if isinstance(fact, ImageFact) and fact.doubt:
            kinds.setdefault(fact.doubt, []).append(path)
    return [
        f"{counted(len(found), 'image')} read that may be damaged ({doubt}): {_named(found)}"
        for doubt, found in kinds.items()
    ]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _map(tasks: list[tuple[Path, str]], memory_gb: float) -> Generator[ImageFact | BadImage, None, None]:
    processes = min(16, cores())
    if len(tasks) < _WORTH_A_POOL or processes == 1:
        yield from (_check(task, Budget(memory_gb)) for task in tasks)
        return
    # spawn: a fork of a process whose libraries have threads may hang
    spawn = multiprocessing.get_context("spawn")
    at_work = spawn.Array("q", [-1] * processes)
    budget = Budget(memory_gb, memory_gb / processes, spawn.Lock())
    with ProcessPoolExecutor(processes, spawn, _start, (at_work, spawn.Value("i", 0), budget)) as pool:
        try:
            yield from pool.map(_check_in_pool, enumerate(tasks), chunksize=32)
        except BrokenProcessPool:
            names = [tasks[number][1] for number in at_work[:] if number >= 0]
            raise UserError(
                f"a process that reads images was killed or crashed; at work were {_named(names)}; "
                "look for a damaged file among them, or for memory: lower extract.memory_gb"
            ) from None


class _Worker:
    """What a process of the pool knows."""

    at_work: SynchronizedArray[int]  # by process, the number of the image that it is at
    place: int
    budget: Budget


def _start(at_work: SynchronizedArray[int], started: Synchronized[int], budget: Budget) -> None:
    with started.get_lock():
        _Worker.place = started.value
        started.value += 1
    _Worker.at_work, _Worker.budget = at_work, budget


def _check_in_pool(numbered: tuple[int, tuple[Path, str]]) -> ImageFact | BadImage:
    number, task = numbered
    _Worker.at_work[_Worker.place] = number
    fact = _check(task, _Worker.budget)
    _Worker.at_work[_Worker.place] = -1
    return fact


def _check(task: tuple[Path, str], budget: Budget) -> ImageFact | BadImage:
    root, path = task
    try:
        address = Address.parse(path, root)
        data = read_bytes(address, budget)
        decoded = decode_whole(data, path, budget)
        doubt = decoded.doubt or _doubt_of_jpeg(data, path)
    except UnreadableImage as error:
        return BadImage(path, error.reason, isinstance(error, TooLarge))
    turned = decoded.image.size != decoded.size
    return ImageFact(digest_of(data, address), decoded.size, doubt, turned)


def _doubt_of_jpeg(data: bytes, path: str) -> str:
    """What libjpeg warns of while Pillow reads on; `UnreadableImage` where the data end early."""
    if not data.startswith(b"\xff\xd8"):
        return ""
    import simplejpeg

    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(data)
        # the entropy-coded data are read in any case, so the smallest image does; a file that lacks nothing
        # but its end marker is whole
        simplejpeg.decode_jpeg(
            data + b"\xff\xd9",
            colorspace="CMYK" if space in ("CMYK", "YCCK") else "GRAY",
            min_height=1, min_width=1, min_factor=8,
        )  # fmt: skip
    except ValueError as error:
        told = str(error)
        left_over = re.search(r"(\d+) extraneous bytes", told)
        if left_over and int(left_over[1]) < _JUNK * len(data):
            return "a JPEG with bytes left over"
        if told.startswith(("Corrupt JPEG data", "Premature end")):
            raise UnreadableImage(path, f"damaged ({told})") from None
    return ""
