"""A process that decodes: paths in, pixels into memory that it shares with its parent.

Started by `reader.py` as `python -m pool5.extract.decode_worker`, so it imports neither torch nor
the parent's main script. It ends when its parent does, however that happens.
"""

from __future__ import annotations

import collections
import mmap
import os
import sys
from multiprocessing.connection import Connection

from ..images.budget import Budget, Turn
from ..images.decoders import decoder_of
from ..images.image_parts import ImageParts
from ..images.read_ahead import ReadAhead
from .decoding import ImageTask, Told, decode_into, ring_arrays


def _main(ring: int, slots: int, pipe: int, niceness: int, turn: int) -> None:
    os.nice(niceness)
    connection = Connection(pipe)
    batch_size, preprocess, memory_gb, share_gb, decoder = connection.recv()
    ahead = ReadAhead()
    images = ImageParts(Budget(memory_gb, share_gb, Turn(turn)), ahead.read, decoder_of(decoder))
    pixels, places = ring_arrays(mmap.mmap(ring, 0), (slots, batch_size, preprocess.crop, preprocess.crop, 3))
    batches = collections.deque[tuple[int, list[ImageTask]]]()

    def hear() -> None:
        batches.append(connection.recv())
        ahead.expect(task.address for task in batches[-1][1])

    while True:
        try:
            if not batches:
                hear()
            slot, tasks = batches.popleft()
            told: Told = []
            for places[slot], task in enumerate(tasks):  # seen by the parent, should this process die
                if not batches and connection.poll():  # images of the next batch come meanwhile
                    hear()
                told += decode_into(pixels[slot], int(places[slot]), task, preprocess, images)
            connection.send((slot, told))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            os._exit(0)  # what is still to come is not waited for


if __name__ == "__main__":
    try:
        _main(*map(int, sys.argv[1:]))
    except KeyboardInterrupt:  # Ctrl-C reaches the whole group; the parent tells it
        sys.exit(130)
