"""Files behind an address, `s3://…` or `https://…`, by fsspec; credentials come from the environment."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")


def is_remote(address: str) -> bool:
    """Whether this is an address with a scheme, and not a path."""
    return _SCHEME.match(address) is not None


def read_remote(address: str, span: tuple[int, int] | None = None) -> bytes:
    """The bytes of a file, or `span` (offset, length) of them.

    Raises
    ------
    OSError
        If they cannot be had.
    """
    import fsspec

    start, end = (None, None) if span is None else (span[0], span[0] + span[1])
    with fsspec.open(address).fs as fs:
        return bytes(fs.cat_file(address, start=start, end=end))
