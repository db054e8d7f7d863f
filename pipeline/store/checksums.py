"""Checksums of arrays by blocks of rows: what is damaged can be named, and checked by parts."""

from __future__ import annotations

import hashlib

import numpy as np

CHECKSUM_BYTES = 16
_BLOCK_BYTES = 1 << 20


def checksum(data: bytes | memoryview) -> bytes:
    """The first 16 bytes of SHA-256, which processors compute faster than any other strong hash."""
    return hashlib.sha256(data).digest()[:CHECKSUM_BYTES]


def rows_per_block(row_bytes: int) -> int:
    """How many rows share a checksum: about 1 MiB of them; decided by the size of a row alone."""
    return max(1, _BLOCK_BYTES // max(row_bytes, 1))


def block_checksums(rows: np.ndarray, block_rows: int) -> np.ndarray:
    """Checksums of consecutive blocks of rows.

    Parameters
    ----------
    rows : (N, …) C-contiguous array
    block_rows : int
        Rows of a block; the last may have fewer.

    Returns
    -------
    (ceil(N / block_rows), 16) uint8
    """
    data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
    step = block_rows * (rows.nbytes // max(len(rows), 1))
    blocks = -(-len(rows) // block_rows)  # by rows: labels of no class have rows without bytes
    digests = [checksum(data[i * step : (i + 1) * step]) for i in range(blocks)]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, CHECKSUM_BYTES)
