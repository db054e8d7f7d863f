"""Is every file an image? Found out before anything is computed from one."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.sharedctypes import Synchronized, SynchronizedArray
from pathlib import Path

from ..errors import UserError
from ..files.hints import counted
from ..images.address import Address
from ..images.budget import Budget, TooLarge, UnreadableImage
from ..images.image_bytes import digest_of
from ..images.image_file import decode_whole
from ..images.jpeg_damage import START, check_jpeg
from ..images.looks import look_at
from ..images.read_ahead import ReadAhead
from ..machine import cores
from ..progress import progress
from .image_facts import BadImage, Facts, ImageFact

_WORTH_A_POOL = 200  # below this, starting processes costs more than they bring
_CHUNK = 64  # images at a time for a process: remote ones are read ahead within them
_HANDED_OUT = 1 << 9  # chunks at a time, as each is an object until its turn
_NAMED = 10
_ahead = ReadAhead()  # of this process
_CHECK = 1  # raise it when the same bytes give other findings


def find_facts(
    root: Path | str, paths: Sequence[str], memory_gb: float
) -> Generator[ImageFact | BadImage, None, None]:
    """Read and wholly decode each file, one after another; a JPEG cut in half is known only by that.

    Parameters
    ----------
    paths : relative to `root`
    memory_gb : float
        What one image may take; what is too large is among the bad ones.

    Raises
    ------
    UserError
        If the process that reads an image is killed.
    """
    with (
        progress(total=len(paths), desc="checking images", unit="image") as bar,
        contextlib.closing(_map(str(root), paths, memory_gb)) as found,
    ):
        for fact in found:
            yield fact
            bar.update()


def refuse_large(facts: Iterable[ImageFact | BadImage]) -> None:
    """Name all that take more memory than they may."""
    if large := [fact for fact in facts if isinstance(fact, BadImage) and fact.too_large]:
        raise UserError(f"{_named([f'{bad.path} ({bad.reason})' for bad in large])}; {TooLarge.remedy}")


def checked_by() -> str:
    """What decides the findings, beside the bytes: with another one, every image is looked at again."""
    found = [f"check {_CHECK}"]
    for name in ("pillow", "pillow-heif", "simplejpeg"):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def doubts(facts: Facts) -> list[str]:
    """What may be wrong with images that were read all the same, or looks otherwise: a sentence a kind."""
    damaged = [
        f"{counted(len(found), 'image')} read that may be damaged ({doubt}): {_named(found)}"
        for doubt, found in facts.told("doubt").items()
    ]
    profiles = {name: len(found) for name, found in facts.told("note").items()}
    if not profiles:
        return damaged
    names = sorted(profiles, key=lambda name: (-profiles[name], name))
    amounts = [f"{name}: {profiles[name]}" for name in names]
    return [
        *damaged,
        f"{counted(sum(profiles.values()), 'image')} with a colour profile other than sRGB "
        f"({_named(amounts)}): read as if sRGB",
    ]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _map(root: str, paths: Sequence[str], memory_gb: float) -> Generator[ImageFact | BadImage, None, None]:
    processes = min(16, cores())
    chunks = ((start, root, paths[start : start + _CHUNK]) for start in range(0, len(paths), _CHUNK))
    if len(paths) < _WORTH_A_POOL or processes == 1:
        with contextlib.closing(_ahead):
            for _, root, some in chunks:
                _ahead.expect(Address.parse(path, root) for path in some)
                yield from (_check((root, path), Budget(memory_gb)) for path in some)
        return
    # spawn: a fork of a process whose libraries have threads may hang
    spawn = multiprocessing.get_context("spawn")
    at_work = spawn.Array("q", [-1] * processes)
    budget = Budget(memory_gb, memory_gb / processes, spawn.Lock())
    with ProcessPoolExecutor(processes, spawn, _start, (at_work, spawn.Value("i", 0), budget)) as pool:
        try:
            while handed_out := list(itertools.islice(chunks, _HANDED_OUT)):
                yield from itertools.chain.from_iterable(pool.map(_check_in_pool, handed_out))
        except BrokenProcessPool:
            names = [paths[number] for number in at_work[:] if number >= 0]
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


def _check_in_pool(chunk: tuple[int, str, Sequence[str]]) -> list[ImageFact | BadImage]:
    start, root, paths = chunk
    _ahead.expect(Address.parse(path, root) for path in paths)
    facts = []
    for _Worker.at_work[_Worker.place], path in enumerate(paths, start):
        facts.append(_check((root, path), _Worker.budget))
    _Worker.at_work[_Worker.place] = -1
    return facts


def _check(task: tuple[str, str], budget: Budget) -> ImageFact | BadImage:
    root, path = task
    try:
        address = Address.parse(path, root)
        data = _ahead.read(address, budget)
        decoded = decode_whole(data, path, budget)
        doubt = decoded.doubt or (check_jpeg(data, path) if data.startswith(START) else "")
    except UnreadableImage as error:
        return BadImage(path, error.reason, isinstance(error, TooLarge))
    turned = decoded.image.size != decoded.size
    looks = look_at(decoded.image)
    return ImageFact(digest_of(data, address), decoded.size, looks, doubt, turned, decoded.note)
