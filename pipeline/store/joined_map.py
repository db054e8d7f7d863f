"""One array over the bytes of several files: their pages are mapped side by side, and nothing is copied."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable

import numpy as np

_MAP_FIXED = 0x10  # as Linux, macOS and the BSDs number it; Python's mmap takes no address


def joined_map(pieces: Iterable[tuple[int, int, int]], size: int) -> np.ndarray:
    """The bytes of pieces of files, one after another, as a read-only (n,) uint8 array.

    Room for all is taken from the kernel, and each piece mapped over its place in there (`MAP_FIXED`). It
    goes back in one piece when the last view of the array is gone.

    Parameters
    ----------
    pieces : iterable of (file descriptor, offset, length)
        Offsets, and lengths of all pieces but the last, are multiples of the size of a page. A file may be
        closed when the next piece is asked for.
    size : int
        The lengths of all pieces together.

    Raises
    ------
    OSError
        If the kernel maps no such piece: its machine's pages are larger, say.
    """
    room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
    whole = np.frombuffer(room, np.uint8)
    at: int = whole.ctypes.data
    end = at + size
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
    for file, offset, length in pieces:
        if at + length > end:
            raise ValueError("the pieces are longer than they are said to be")
        if libc.mmap(at, length, mmap.PROT_READ, mmap.MAP_SHARED | _MAP_FIXED, file, offset) != at:
            raise OSError(number := ctypes.get_errno(), os.strerror(number))
        at += length
    return whole
