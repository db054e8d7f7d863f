"""Files from the web, whole and with the right digest, or not there."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from pathlib import Path

from ..errors import UserError
from .atomic import atomic_write

_PATIENCE = 60.0  # seconds without a byte
_log = logging.getLogger(__name__)


def download(url: str, path: Path | str, digest: str) -> None:
    """See to it that `path` holds the file of that digest: fetched by pooch, unless it is there already.

    pooch knows no resume: an interrupted download starts again, and leaves nothing behind.

    Parameters
    ----------
    url : str
        http or https
    path : path
        A file there with another digest is replaced once the right one has come.
    digest : str
        `<algorithm>:<hexadecimal>`, as `md5:c52e…` or `sha256:f37072fd`; the beginning of a digest will do.

    Raises
    ------
    UserError
        If the file is not to be had, or comes broken; says where to put it by hand.
    """
    import requests
    from pooch import HTTPDownloader

    path = Path(path)
    algorithm, _, wanted = digest.partition(":")
    if path.is_file() and has_digest(path, digest):
        return
    by_hand = f"or fetch it elsewhere and put it there as {path} ({algorithm} {wanted})"
    bar = "CI" not in os.environ and sys.stderr.isatty()
    _log.info("fetching %s into %s", url, path)
    try:
        with atomic_write(path) as temporary:
            HTTPDownloader(progressbar=bar, timeout=_PATIENCE)(url, str(temporary), None)
            if not has_digest(temporary, digest):
                raise UserError(
                    f"{path}: {url} came broken (wrong {algorithm}, {temporary.stat().st_size} bytes); "
                    f"run again to fetch it once more, {by_hand}"
                )
    except requests.RequestException as error:
        raise UserError(
            f"{path.name}: cannot fetch {url} ({_reason(error)}); run again with a network, {by_hand}"
        ) from None


def has_digest(path: Path | str, digest: str) -> bool:
    """Whether a file's digest is, or begins with, `<algorithm>:<hexadecimal>`."""
    algorithm, _, wanted = digest.partition(":")
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest().startswith(wanted)


def _reason(error: BaseException) -> str:
    """What lies under the layers of requests and urllib3, in one line."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return " ".join(str(error).split()) or type(error).__name__
