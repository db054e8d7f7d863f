"""A process that decodes: paths in, pixels into memory that it shares with its parent.

Started by `reader.py` as `python -m pool5.extract.decode_worker`, so it imports neither torch nor
the parent's main script. It ends when its parent does, however that happens.
"""

from __future__ import annotations

import mmap
import os
import sys
from multiprocessing.connection import Connection

import numpy as np

from .decoding import decode_into


def _main(ring: int, slots: int, pipe: int, niceness: int) -> None:
    os.nice(niceness)
    connection = Connection(pipe)
    batch_size, preprocess = connection.recv()
    shape = (slots, batch_size, preprocess.crop, preprocess.crop, 3)
    pixels = np.frombuffer(mmap.mmap(ring, 0), np.uint8)[: int(np.prod(shape))].reshape(shape)
    while True:
        try:
            slot, tasks = connection.recv()
            connection.send((slot, decode_into(pixels[slot], tasks, preprocess)))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


if __name__ == "__main__":
    try:
        _main(*map(int, sys.argv[1:]))
    except KeyboardInterrupt:  # Ctrl-C reaches the whole group; the parent tells it
        sys.exit(130)
