"""Writing the layers of a feature file that are in parts: several parts side by side."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from ..files.atomic import UNFINISHED, sync_directory
from ..machine import cores
from .block_writer import Joined, LaidOut, Table, lay_out
from .layer_parts import PAGE, PART, SUFFIX, Part, parts_folder, rows_of_a_part
from .plain_hdf5 import check_names

_AT_ONCE = 4  # at most: each holds a few times 16 MiB


@dataclasses.dataclass(frozen=True)
class _Begun:
    """A part that is laid out: what it says of itself, its number in the layer, its rows, its file."""

    part: Part
    number: int
    rows: int
    file: LaidOut


def is_long(table: Table) -> bool:
    """Whether a layer is too long for one file."""
    row_bytes = table.dtype.itemsize * table.shape[1]
    return row_bytes > 0 and table.shape[0] > rows_of_a_part(row_bytes)


def write_parts(path: Path, layers: Mapping[str, tuple[Part, Table]]) -> dict[str, Joined]:
    """Write the parts of a feature file's long layers, beside those of the file that is there now.

    They get their names when all are whole and synced. The space of all is taken before the first row is
    asked for. A table is asked for rows by several threads at once.

    Parameters
    ----------
    path : Path
        Of the feature file.
    layers : {layer: (what its first part says of itself, its rows)}
    """
    folder = parts_folder(path)
    check_names(folder=folder.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(UNFINISHED, f".{folder.name}.", path.parent) as unfinished:
        begun = [each for of in layers.values() for each in _lay_out(Path(unfinished), *of)]
        sums = _fill(begun)
        names = [each.part.name(each.number, its) for each, its in zip(begun, sums, strict=True)]
        folder.mkdir(exist_ok=True)
        for each, name in zip(begun, names, strict=True):
            each.file.path.replace(folder / name)
    sync_directory(folder)
    joined = {}
    for layer, (_, table) in layers.items():
        own = [at for at, each in enumerate(begun) if each.part.layer == layer]
        places = tuple((f"{folder.name}/{names[at]}", begun[at].rows) for at in own)
        joined[layer] = Joined(table.dtype, table.shape, places, np.concatenate([sums[at] for at in own]))
    return joined


def remove_parts(path: Path, keep: Collection[str]) -> None:
    """Remove the parts beside a feature file but those whose names, from its folder, are to be kept."""
    folder = parts_folder(path)
    for part in folder.glob(f"*{SUFFIX}"):
        if f"{folder.name}/{part.name}" not in keep:
            part.unlink()
    if not keep:
        with contextlib.suppress(OSError):  # it is not there, or something else is in it
            folder.rmdir()


def _lay_out(folder: Path, whole: Part, table: Table) -> Iterator[_Begun]:
    length, width = table.shape
    step = rows_of_a_part(table.dtype.itemsize * width)
    for number, first in enumerate(range(0, length, step)):
        part = dataclasses.replace(whole, first_row=first)
        own = Table(table.dtype, (min(step, length - first), width), _from(first, table.rows))
        path = folder / f"{whole.layer}.{number}"
        file = lay_out(path, PART, dataclasses.asdict(part), {"rows": own}, page=PAGE)
        yield _Begun(part, number, own.shape[0], file)


def _from(first: int, rows: Callable[[int, int], np.ndarray]) -> Callable[[int, int], np.ndarray]:
    return lambda start, stop: rows(first + start, first + stop)


def _fill(begun: Sequence[_Begun]) -> list[np.ndarray]:
    """Fill all parts; gives the checksums of each. The first error, or an interrupt, ends them all."""
    stop = threading.Event()
    with ThreadPoolExecutor(min(_AT_ONCE, cores()), "part-writer") as threads:
        filling = [threads.submit(each.file.fill, stop) for each in begun]
        try:
            done, _ = wait(filling, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            stop.set()
    return [future.result()["rows"] for future in filling]
