"""What pictures look like beside cleanvision, on photographs of which some were spoiled on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.contest import Peer, Row, contest, timed
from benchmarks.peer_environment import PeerProcess
from pool5.analysis.outliers.looks import examine_looks
from pool5.datasets.looks import PictureLooks
from pool5.images.image_file import decode
from pool5.images.looks import Looks, look_at
from tests.planted_faults import FAULTS

_PHOTOGRAPHS = Path("../shared/data/voc2012-animals/VOCdevkit/VOC2012/JPEGImages")
# ours, cleanvision's, and the fault that both are about
_KINDS = {
    "blank": ("low_information", "blank"),
    "dark": ("dark", "dark"),
    "bright": ("light", "bright"),
    "blurred": ("blurry", "blurred"),
    "long": ("odd_aspect_ratio", "panorama"),
    "small": ("odd_size", ""),
}


def looks_rows(scratch: Path, images: int = 1000, each: int = 12, runs: int = 3) -> list[Row]:
    """`each` spoiled pictures of every fault among `images` photographs; nothing where there are none."""
    if not _PHOTOGRAPHS.is_dir():
        return []
    folder = scratch / "looks"
    planted = plant(sorted(_PHOTOGRAPHS.glob("*.jpg"))[: images + each], folder, images, each)
    peer = PeerProcess("cleanvision_lab", folder=str(folder))
    row = contest(
        "odd pictures",
        f"{images} photographs, {each} each spoiled in {len(FAULTS)} ways",
        "Pool5, one process",
        timed(lambda: _ours(folder)),
        [
            Peer(
                "cleanvision",
                peer.version,
                None if peer.missing else peer.run,
                _agreement(planted),
                missing=peer.missing,
            )
        ],
        runs,
    )
    peer.stop()
    return row


def plant(photos: list[Path], folder: Path, images: int, each: int) -> dict[str, set[str]]:
    """Photographs and spoiled ones in a folder; {fault: names of its files}."""
    folder.mkdir(parents=True)
    for photo in photos[:images]:
        (folder / photo.name).write_bytes(photo.read_bytes())
    rng = np.random.default_rng(0)
    planted: dict[str, set[str]] = {}
    for fault, spoil in FAULTS.items():
        for number, photo in enumerate(photos[-each:]):
            name = f"{fault.replace(' ', '-')}-{number}.jpg"
            with Image.open(photo) as image:
                spoil(image.convert("RGB"), rng).save(folder / name, quality=90)
            planted.setdefault(fault, set()).add(name)
    return planted


def _ours(folder: Path) -> dict[str, list[str]]:
    paths = sorted(folder.glob("*.jpg"))
    rows = []
    for path in paths:
        image = decode(path.read_bytes(), path)
        rows.append((*image.size, *look_at(image)))
    columns = dict(zip(("width", "height", *Looks._fields), np.array(rows, float).T, strict=True))
    names = np.array([path.name for path in paths])
    looks, _ = examine_looks(PictureLooks(np.full(len(names), "all"), names, columns), len(names))
    return {look.kind: [image.id for image in look.odd] for look in looks}


def _agreement(planted: dict[str, set[str]]) -> Callable[[Any, Any], str]:
    def check(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> str:
        told = []
        for kind, (issue, fault) in _KINDS.items():
            mine, its, right = set(ours[kind]), set(theirs[issue]), planted.get(fault, set())
            spoiled = f" of {len(right)} spoiled {len(mine & right)} and {len(its & right)}," if right else ""
            told.append(
                f"{kind}:{spoiled} {len(mine - right)} and {len(its - right)} others, "
                f"{len(mine & its)} in both"
            )
        return "ours and the peer's: " + "; ".join(told)

    return check
