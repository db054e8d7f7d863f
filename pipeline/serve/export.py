"""The page and its data as plain files, which any web server or bucket can serve.

    index.html              the page; in it, as JSON, the store and what the files are
    store/<state>/
        images/<s>/<n>.json          [[id, [class]]] of some rows of a split, in its order
        ids/<s>/<n>.json             [[id, row]] of some of them, sorted as JavaScript compares
        classes/<s>/<c>.json         the rows that show a class
        pictures/<s>/ab/<name>.webp  a small picture of each image, named by a hash of its id
        nearest/<l>-<a>-<f>/<n>.bin  of some rows of split a the nearest in split f in a layer: all rows as
                                     int32, then all distances as float32; little-endian
        pairs/<l>-<f>.bin            the distances of random pairs, ascending; float32
        maps/<l>-<n>.json            a map, as `GET /api/map` gives it

Splits, classes and layers are numbered in the store's order. Files of another state have another folder, so
that no page reads data that is not its own.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files.atomic import whole_folder
from ..files.hints import counted
from ..images.read_ahead import threads_for
from ..progress import progress
from ..questions.open_store import OpenStore
from ..store.feature_file import FeatureFile
from .described import described
from .export_lists import DEPTH, LISTS, write_layer
from .images import StoredImages, find_image
from .limits import Limits
from .listing import file_of
from .maps import Maps, plain_map
from .page import render_page
from .plain_files import write_bytes, write_json

_log = logging.getLogger(__name__)
PAGE = "index.html"
DATA = "store"
ROWS = 256  # of a split in a file: some kilobytes
_SIDE = 256  # of the pictures, in pixels
_FNV_BASIS, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written: how many images, pictures of them, layers and bytes."""

    images: int
    pictures: int
    layers: int
    size: int


def export(store: OpenStore, folder: Path) -> Exported:
    """Write the page with its data, whole or not at all; an earlier export is replaced.

    Raises
    ------
    UserError
        If the folder has something else in it.
    """
    if folder.exists() and not _is_replaceable(folder):
        raise UserError(f"--export {folder}: has other things in it than an earlier export; name a new one")
    with whole_folder(folder.resolve()) as unfinished:
        data, maps = unfinished / DATA / store.state[:16], Maps(store.project)
        told = described(store, maps, Limits(k=DEPTH))
        told |= {"results": [], "metrics": [store.params.index.metric]}
        told["layers"] = [layer | {"words": False, "images": False} for layer in told["layers"]]
        splits = {split: _write_split(file_of(store, split), data, n) for n, split in enumerate(store.splits)}
        layers = {}
        for number, layer in enumerate(progress(store.layers, desc="layers")):
            layers[layer], gaps = write_layer(store, layer, data, number)
            told["gaps"] += gaps
            for place, found in enumerate(maps.of_layer(store, layer)):
                write_json(data / f"maps/{number}-{place}.json", plain_map(store, found))
        pictures = _write_pictures(store, data / "pictures")
        told["files"] = {
            "folder": f"{DATA}/{data.name}",
            "rows_a_file": ROWS,
            "lists_a_file": LISTS,
            "splits": splits,
            "layers": layers,
        }
        (unfinished / PAGE).write_text(render_page(told, source="file_source.js"), encoding="utf-8")
        size = sum(path.stat().st_size for path in unfinished.rglob("*") if path.is_file())
    return Exported(sum(own["images"] for own in splits.values()), pictures, len(layers), size)


def _is_replaceable(folder: Path) -> bool:
    """Whether it is an earlier export, or an empty folder."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    return not names or (names == {PAGE, DATA} and any((folder / DATA).glob("*/nearest")))


def _write_split(file: FeatureFile, data: Path, number: int) -> dict[str, Any]:
    """Images, ids and classes of a split; gives how many images there are, and the first id of each file."""
    ids = file.ids.tolist()
    labels = [np.flatnonzero(row == 1).tolist() for row in file.labels]
    images = list(zip(ids, labels, strict=True))
    # JavaScript compares UTF-16 code units
    order = sorted(range(len(ids)), key=lambda row: ids[row].encode("utf-16-be", "surrogatepass"))
    for place, start in enumerate(range(0, len(ids), ROWS)):
        rows = order[start : start + ROWS]
        write_json(data / f"images/{number}/{place}.json", images[start : start + ROWS])
        write_json(data / f"ids/{number}/{place}.json", [[ids[row], row] for row in rows])
    for column in range(len(file.classes)):
        shown = np.flatnonzero(file.labels[:, column] == 1)
        write_json(data / f"classes/{number}/{column}.json", shown.tolist())
    return {"images": len(ids), "first_ids": [ids[row] for row in order[::ROWS]]}


def _write_pictures(store: OpenStore, folder: Path) -> int:
    """A small picture of each image; gives how many there are."""
    pictures, wanted = (
        StoredImages(kept_bytes=0),
        [
            (number, split, name)
            for number, split in enumerate(store.splits)
            for name in file_of(store, split).ids.tolist()
        ],
    )

    def write(number: int, split: str, name: str) -> str:
        try:
            picture = pictures.thumbnail(find_image(store, name, split), _SIDE)
        except UserError as error:
            return str(error)
        named = picture_name(name)
        write_bytes(folder / f"{number}/{named[:2]}/{named}.webp", picture)
        return ""

    addresses = (where for split in store.splits for where in store.addresses[split].values())
    with concurrent.futures.ThreadPoolExecutor(threads_for(addresses)) as pool:
        done = pool.map(lambda each: write(*each), wanted)
        refused = [why for why in progress(done, total=len(wanted), desc="pictures") if why]
    if refused:
        _log.warning("%s without a picture, as %s", counted(len(refused), "image"), refused[0])
    return len(wanted) - len(refused)


def picture_name(image: str) -> str:
    """What the picture of an image is called: FNV-1a of its id, 64 bits, as the page computes it."""
    digest = _FNV_BASIS
    for byte in image.encode():
        digest = (digest ^ byte) * _FNV_PRIME % (1 << 64)
    return f"{digest:016x}"
