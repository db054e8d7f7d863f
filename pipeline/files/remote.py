"""Files behind an address, `s3://…` or `https://…`, by fsspec; credentials come from the environment.

fsspec answers any thread from one event loop a process and makes another after a fork. What may pass is tried
again here, and by nobody below: two patient layers would wait for a dead server for half an hour.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import random
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

from .remote_errors import EndsBefore, Unreachable, final_error, in_words

# a chain of file systems, as `simplecache::s3://`, is taken for an address too, and then refused
_SCHEME = re.compile(r"([a-z][a-z0-9+.:-]*)://")
_SCHEMES = frozenset([
    "abfs", "abfss", "az", "gcs", "gs", "hdfs", "hf", "http", "https", "oci", "oss", "s3", "s3a",
])  # fmt: skip
_WEB = ("http", "https")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
READERS = 16  # files that one process reads at once
_CONNECT_SECONDS, _READ_SECONDS = 10, 30  # without a byte
# tries, after some seconds that are doubled at each: about ten for what a user waits for, and more than half
# a minute on the way, in which a server may be started again
FIRST_TRIES, TRIES, _WAIT = 5, 7, 0.5
_BLOCK, _BLOCKS = 1 << 22, 16  # of a file that is read here and there
_opened: dict[tuple[str, int], Any] = {}  # by process: a fork must not go on with its parent's connections
T = TypeVar("T")


def is_remote(address: str) -> bool:
    """Whether this is an address with a scheme, and not a path."""
    return _SCHEME.match(address) is not None


def has_listing(address: str) -> bool:
    """Whether what lies there can be listed; a web server has no list of its files."""
    return _scheme(address) not in _WEB


def problem_with(address: str) -> str:
    """What is wrong with the looks of an address that has a scheme; '' where nothing is."""
    scheme, _, rest = address.partition("://")
    if scheme not in _SCHEMES:
        return f"{scheme}:// is not read; s3://, gs://, https:// and their like are"
    if re.match(r"[^/@]*:[^/@]*@", rest):
        return "credentials belong into the environment, and not into an address"
    return ""


def read_remote(
    address: str,
    span: tuple[int, int] | None = None,
    most: int | None = None,
    *,
    tries: int = TRIES,
) -> bytes:
    """The bytes of a file, or `span` (offset, length) of them.

    Parameters
    ----------
    most : int, optional
        No more than one byte beyond it is read of a larger file.
    tries : int
        Before a server counts as unreachable.

    Raises
    ------
    OSError
        If this file cannot be had: it is missing, forbidden, or ends before `span` does.
    Unreachable
    """
    start, end = (0, most) if span is None else (span[0], sum(span))
    limits = {} if end is None else {"start": start, "end": end + (span is None)}
    try:
        data = bytes(_tried(address, lambda files: files.cat_file(address, **limits), tries))
    except EndsBefore:
        if span is None:  # an empty file has not even its first byte
            return b""
        raise
    if span is not None and len(data) > span[1]:
        raise Unreachable(
            f"{address}: the server gives whole files alone, and no parts of them; fetch this one"
        )
    if span is not None and len(data) < span[1]:
        raise EndsBefore
    return data


def stat_remote(address: str, *, tries: int = TRIES) -> tuple[int, str]:
    """The size of a file, and its etag or, where there is none, when it was changed; '' for neither.

    Raises
    ------
    OSError
        If this file cannot be had.
    Unreachable
    """
    return _stamp(_tried(address, lambda files: files.info(address), tries))


def list_remote(root: str) -> dict[str, tuple[int, str]]:
    """{path from `root`: as `stat_remote` gives it} of every file below, in no order; none is opened.

    Raises
    ------
    OSError
        If `root` cannot be listed.
    Unreachable
    """

    def listed(files: Any) -> dict[str, tuple[int, str]]:
        base = str(files._strip_protocol(root)).rstrip("/") + "/"
        return {
            name.removeprefix(base): _stamp(info)
            for name, info in files.find(root, detail=True).items()
            if name.startswith(base) and not name.endswith("/")
        }

    return _tried(root, listed, FIRST_TRIES)


def children_of(folder: str) -> dict[str, tuple[int, float] | None]:
    """{name: (size, seconds since the epoch when it was written)} of what a folder holds; None for a folder.

    Raises
    ------
    Unreachable
    """
    try:
        infos = _tried(folder, lambda files: files.ls(folder, detail=True))
    except FileNotFoundError:
        return {}
    found: dict[str, tuple[int, float] | None] = {}
    for info in infos:
        name = str(info["name"]).rstrip("/").rpartition("/")[2]
        written = info.get("LastModified") or info.get("created") or info.get("mtime") or 0
        seconds = written.timestamp() if hasattr(written, "timestamp") else float(written)
        is_folder = info["type"] == "directory"
        if name and not str(info["name"]).endswith("/"):
            found[name] = None if is_folder else (int(info["size"] or 0), seconds)
    return found


def write_remote(address: str, data: bytes) -> None:
    """Write a file, whole or not at all, whatever was there.

    Raises
    ------
    OSError
        If this file cannot be written.
    Unreachable
    """
    _tried(address, lambda files: files.pipe_file(address, data))


def move_remote(old: str, new: str) -> None:
    """Copy a file to another address on the same server, and remove it where it was.

    Raises
    ------
    OSError
        If this file cannot be read or written.
    Unreachable
    """
    _tried(old, lambda files: files.cp_file(old, new))
    remove_remote(old)


def remove_remote(address: str) -> None:
    """Remove a file; one that is not there is no error.

    Raises
    ------
    OSError
        If this file cannot be removed.
    Unreachable
    """
    with contextlib.suppress(FileNotFoundError):
        _tried(address, lambda files: files.rm_file(address))


def open_remote(address: str, *, tries: int = TRIES) -> io.BufferedReader:
    """A file to seek and read in, of which the blocks last used are kept; `tries` are those to open it.

    Raises
    ------
    OSError
        If this file cannot be had.
    Unreachable
    """
    return io.BufferedReader(_RemoteFile(address, tries))


class _RemoteFile(io.RawIOBase):
    def __init__(self, address: str, tries: int) -> None:
        self._size = size = stat_remote(address, tries=tries)[0]
        self._place = 0

        @functools.lru_cache(_BLOCKS)
        def block(start: int) -> bytes:  # without `self`, so that the blocks go with the file's last use
            return read_remote(address, (start, min(_BLOCK, size - start)))

        self._block = block

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        if self._place >= self._size:
            return 0
        start = self._place // _BLOCK * _BLOCK
        data = self._block(start)[self._place - start :][: len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def _scheme(address: str) -> str:
    return address.partition("://")[0]


def _stamp(info: dict[str, Any]) -> tuple[int, str]:
    tags = ("ETag", "etag", "md5Hash", "LastModified", "Last-Modified", "last_modified", "mtime")
    tag = next((str(info[name]).strip('"') for name in tags if info.get(name)), "")
    return int(info.get("size") or 0), tag


def _file_system(address: str) -> Any:
    """The file system of an address, one a process."""
    if problem := problem_with(address):
        raise Unreachable(f"{re.sub('//[^/@]*@', '//…@', address)}: {problem}")
    scheme = _scheme(address)
    if (found := _opened.get((scheme, os.getpid()))) is not None:
        return found
    try:
        import fsspec.config

        kind = fsspec.get_filesystem_class(scheme)
        own = fsspec.config.conf.get(scheme, {})  # what the user has set in FSSPEC_…
        options = {name: value for name, value in _options(scheme).items() if name not in own}
        files = kind(skip_instance_cache=True, use_listings_cache=False, **options)
    except ImportError as error:
        what = f"'pool5[{_EXTRAS[scheme]}]'" if scheme in _EXTRAS else f"what it needs ({error})"
        raise Unreachable(f"{address}: {scheme}:// needs further packages; pip install {what}") from None
    files.retries = 1  # of s3fs and gcsfs
    return _opened.setdefault((scheme, os.getpid()), files)


def _options(scheme: str) -> dict[str, Any]:
    if scheme in _WEB:
        import aiohttp

        limits = aiohttp.ClientTimeout(None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS)
        # trust_env: proxies and ~/.netrc; what is compressed on the way has no parts
        return {
            "client_kwargs": {"trust_env": True, "timeout": limits},
            "headers": {"Accept-Encoding": "identity"},
        }
    if scheme not in ("s3", "s3a"):
        return {}
    settings = {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "max_pool_connections": READERS,
        "retries": {"total_max_attempts": 1},
    }
    # more than one request at once for a file would ask for its size first
    return {"max_concurrency": 1, "config_kwargs": settings}


def _tried(address: str, call: Callable[[Any], T], tries: int = TRIES) -> T:
    """What `call` makes of the file system of `address`, again if need be."""
    files = _file_system(address)
    attempt = 0
    while True:
        try:
            return call(files)
        except Exception as error:
            if (final := final_error(address, error)) is not None:
                raise final from None
            attempt += 1
            if attempt == tries:
                raise Unreachable(
                    f"{address}: {in_words(error)}, at {tries} tries; look at the network and run again: "
                    "what is done is kept"
                ) from None
        time.sleep(_WAIT * 2**attempt * random.uniform(0.5, 1))
