"""The inventory of a data set: a manifest a split, the annotated objects, and what was odd."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from ..errors import UserError
from ..files.atomic import whole_folder
from ..files.csv_file import write_csv
from ..files.hints import counted
from ..files.json_file import write_json
from ..params import Dataset, Extract
from ..project import Project
from ..results.dataset import DatasetResult, LeftOut, SplitContent
from ..results.record import save_record
from .image_check import doubts
from .image_facts import Facts
from .kinds import list_splits
from .known_images import know_images
from .listing import Listing, ObjectBox
from .looks import write_looks
from .manifest import TEXT, Manifest, write_manifest
from .objects import object_rows
from .oddities import oddities, reasons
from .passed_over import look_beside
from .roots import open_tree
from .tree import Tree

_log = logging.getLogger(__name__)


def take_inventory(
    project: Project,
    dataset: Dataset,
    on_bad_image: Literal["fail", "skip"] = "fail",
    also: Collection[str] = (),
    memory_gb: float = Extract().memory_gb,
) -> DatasetResult:
    """Read the data set's lists and every image, and write what was found.

    Into data/manifest, which appears whole or not at all: `<split>.csv` for every split (see `manifest`);
    `objects.csv`, the annotated boxes; `looks.csv` (see `looks`); `training.json`, a digest of what a
    training learns from in each split but the test split. Beside it the record, and DVC's metrics. What the
    record says in `gaps` is told.

    Parameters
    ----------
    also : names of splits
        That models train on, beside those of `dataset`.
    memory_gb : float
        What one image may take.

    Raises
    ------
    UserError
        If a list is wrong, or an image cannot be read and `on_bad_image` is `fail`.
    """
    root = project.images(dataset.root)
    tree = open_tree(root)
    tree.kept = project.known_shards
    listings = list_splits(dataset, tree, project.root, also)
    for name in listings.keys() & {"objects", "looks"}:
        raise UserError(
            f"{dataset.root}: the split {name}: that name is taken by {name}.csv; rename the split"
        )
    paths = [path for listing in listings.values() for path in listing.paths]
    facts = know_images(tree, paths, project.known_images, memory_gb)
    bad = facts.bad_images
    if bad and on_bad_image == "fail":
        raise UserError(
            f"{counted(len(bad), 'image')} of {len(facts)} cannot be read: {reasons(bad)}; "
            "replace them, or set extract.on_bad_image: skip"
        )
    manifests = {split: _manifest(listing, facts) for split, listing in listings.items()}
    rows, of_objects = (
        object_rows(manifests, listings, facts, dataset.margin) if dataset.objects else (manifests, [])
    )
    learned = [name for name in manifests if name != dataset.test or name in (dataset.train, *also)]
    with whole_folder(project.manifests) as folder:
        for split, manifest in rows.items():
            write_manifest(manifest, folder / f"{split}.csv")
        _write_objects(folder / "objects.csv", listings.values(), manifests.values())
        write_looks(folder / "looks.csv", manifests.values(), facts)
        write_json(folder / "training.json", {split: _digest(rows[split]) for split in learned})
    result = _result(dataset, listings, manifests, facts, tree)
    result = msgspec.structs.replace(result, gaps=(*of_objects, *result.gaps))
    for gap in result.gaps:
        _log.warning("%s", gap)
    save_record(result, project.result("dataset"))
    write_json(project.metrics("dataset"), result.metrics())
    return result


def _manifest(listing: Listing, facts: Facts) -> Manifest:
    rows = facts.rows(listing.paths)
    good = ~facts.bad[rows]
    if not good.any():
        raise UserError(
            f"split {listing.split}: none of its {counted(len(listing.ids), 'image')} can be read"
        )
    whole = Manifest(
        split=listing.split,
        classes=listing.classes,
        ids=np.array(listing.ids, TEXT),
        paths=np.array(listing.paths, TEXT),
        digests=facts.digests[rows],
        sizes=facts.table["size"][rows],
        labels=listing.labels,
    )
    return whole if good.all() else whole.take(good)


def _result(
    dataset: Dataset,
    listings: Mapping[str, Listing],
    manifests: Mapping[str, Manifest],
    facts: Facts,
    tree: Tree,
) -> DatasetResult:
    splits = {
        split: SplitContent(
            images=len(manifest),
            positives=_count(manifest, 1),
            difficult=_count(manifest, 0),
            left_out=tuple(
                LeftOut(id=listings[split].ids[row], path=bad.path, reason=bad.reason)
                for row, bad in facts.bad_of(listings[split].paths)
            ),
        )
        for split, manifest in manifests.items()
    }
    remarks = dict.fromkeys(remark for listing in listings.values() for remark in listing.remarks)
    result = DatasetResult(
        dataset=dataset.name,
        classes=manifests[dataset.test].classes,
        splits=splits,
        # each once, though an image may be in more than one split
        disagreements=tuple(dict.fromkeys(d for part in listings.values() for d in part.disagreements)),
        passed_over=tuple(look_beside(tree, dataset, facts.paths)),
    )
    gaps = (*oddities(result, dataset.train, dataset.test, tree.links), *doubts(facts), *remarks)
    return msgspec.structs.replace(result, gaps=gaps)


def _count(manifest: Manifest, label: int) -> dict[str, int]:
    return dict(zip(manifest.classes, manifest.labels.count(label).tolist(), strict=True))


def _write_objects(path: Path, listings: Iterable[Listing], manifests: Iterable[Manifest]) -> None:
    by_image: dict[str, list[ObjectBox]] = {}
    for listing in listings:
        for image_id, boxes in itertools.groupby(listing.objects, key=lambda box: box.id):
            by_image[image_id] = list(boxes)
    kept = {image for manifest in manifests for image in manifest.ids.tolist()} if by_image else set()
    rows = [
        [
            box.id,
            box.name,
            int(box.difficult),
            None if box.truncated is None else int(box.truncated),
            *(box.corners or [None] * 4),
        ]
        for image_id in sorted(kept & set(by_image))
        for box in by_image[image_id]
    ]
    columns = ["id", "class", "difficult", "truncated", "xmin", "ymin", "xmax", "ymax"]
    write_csv(path, columns, rows, exact=True)


def _digest(manifest: Manifest) -> str:
    """Of what decides a training: neither where an image lies nor what it is called does."""
    digest = hashlib.blake2b(json.dumps(manifest.classes).encode(), digest_size=16)
    digest.update(manifest.digests.tobytes())
    for block in manifest.labels.blocks():
        digest.update(block.data)
    return digest.hexdigest()
