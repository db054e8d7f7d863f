"""PASCAL VOC 2007 and 2012, fetched by torchvision's downloader and unpacked whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import ssl
import sys
import tarfile
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError

from ..errors import UserError
from ..files.atomic import sync_directory

YEARS = {"voc2007": ("2007", "2007-test"), "voc2012": ("2012",)}
DOWNLOADS = Path(".cache/downloads")
_PATIENCE = 60.0  # seconds without a byte


@dataclasses.dataclass(frozen=True)
class Archive:
    """A tar file, where it comes from, and its md5."""

    filename: str
    url: str
    md5: str


def voc_archives(name: str) -> tuple[Archive, ...]:
    """The archives of `voc2007` or `voc2012`, as torchvision knows them."""
    from torchvision.datasets.voc import DATASET_YEAR_DICT  # torch: only where something is to be fetched

    known = (DATASET_YEAR_DICT[year] for year in YEARS[name])
    return tuple(Archive(entry["filename"], entry["url"], entry["md5"]) for entry in known)


def download_devkit(root: Path | str, archives: Sequence[Archive], downloads: Path | str = DOWNLOADS) -> None:
    """Fetch what is missing of `archives` into `downloads`, and unpack all of them into `root`.

    An archive that is there with the right md5 is not fetched again, so that an interrupted download costs
    one archive. `root` appears when all archives are unpacked; what an archive holds is not trusted to
    stay in it by itself (tar's `data` filter).

    Raises
    ------
    UserError
        If there is no network, or an archive comes broken: one line with the file's name, address and place.
    """
    root, downloads = Path(root), Path(downloads)
    for archive in archives:
        _fetch(archive, downloads)
    unfinished = root.with_name(f".{root.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        for archive in archives:
            _unpack(downloads / archive.filename, unfinished)
        if root.is_dir():
            root.rmdir()  # an empty folder is as good as none; a full one is never replaced
        unfinished.rename(root)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_directory(root.parent)


def _fetch(archive: Archive, downloads: Path) -> None:
    from torchvision.datasets.utils import check_integrity, download_url

    path = downloads / archive.filename
    if check_integrity(path, archive.md5):
        return
    print(f"fetching {archive.url} into {path}", file=sys.stderr)
    by_hand = f"or fetch it elsewhere and put it there as {path} (md5 {archive.md5})"
    try:
        with _patience(), _quiet_in_ci():
            download_url(archive.url, downloads, archive.filename, archive.md5)
    except RuntimeError:  # torchvision's word for a wrong md5
        raise UserError(
            f"{path}: {archive.url} came broken (wrong md5, {path.stat().st_size} bytes); "
            f"run again to fetch this archive once more, {by_hand}"
        ) from None
    except (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{archive.filename}: cannot fetch {archive.url} ({reason}); run again with a network, {by_hand}"
        ) from None


def _unpack(path: Path, into: Path) -> None:
    print(f"unpacking {path}", file=sys.stderr)
    try:
        with tarfile.open(path) as tar:
            tar.extractall(into, filter="data")
    except tarfile.TarError as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise UserError(f"{path}: not a sound archive ({reason}); remove it and run again") from None


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Torchvision sets no time limit: a server that falls silent would hold the run for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _quiet_in_ci() -> Iterator[None]:
    """Torchvision's progress bar goes to any stderr."""
    if "CI" not in os.environ and sys.stderr.isatty():
        yield
    else:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            yield
