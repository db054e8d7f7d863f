"""PASCAL VOC 2007 and 2012, fetched and unpacked whole or not at all."""

from __future__ import annotations

import dataclasses
import logging
import tarfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..files.atomic import whole_folder
from ..files.download import download

YEARS = {"voc2007": ("2007", "2007-test"), "voc2012": ("2012",)}
_log = logging.getLogger(__name__)


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


def download_devkit(root: Path | str, archives: Sequence[Archive], downloads: Path | str) -> None:
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
        download(archive.url, downloads / archive.filename, f"md5:{archive.md5}")
    with whole_folder(root) as unfinished:
        for archive in archives:
            _unpack(downloads / archive.filename, unfinished)
        if root.is_dir():
            root.rmdir()  # an empty folder is as good as none; a full one is never replaced


def _unpack(path: Path, into: Path) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise UserError(f"{path}: unpacking it safely needs Python 3.11.4 or newer; or unpack it yourself")
    _log.info("unpacking %s", path)
    try:
        with tarfile.open(path) as tar:
            tar.extractall(into, filter="data")
    except tarfile.TarError as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise UserError(f"{path}: not a sound archive ({reason}); remove it and run again") from None
