"""The inventory of a data set: a manifest a split, the annotated objects, and what was odd."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import UserError
from ..files.atomic import whole_folder, write_text
from ..files.csv_file import write_csv
from ..files.hints import counted
from ..files.json_file import write_json
from ..params import Dataset
from ..project import Project
from .image_check import BadImage, ImageFact, check_images
from .kinds import list_splits
from .listing import Disagreement, Listing, ObjectBox
from .manifest import Manifest, write_manifest

_log = logging.getLogger(__name__)
_NAMED = 10  # so many of a kind are named in one line; summary.json has them all


def take_inventory(
    project: Project, dataset: Dataset, on_bad_image: Literal["fail", "skip"] = "fail"
) -> dict[str, Manifest]:
    """Read the data set's lists and every image, and write what was found.

    Into data/manifest, which appears whole or not at all: `<split>.csv` for every split (see `manifest`);
    `objects.csv`, the annotated boxes; `summary.json`, with the images that were left out and the
    contradictions between class lists and annotations; `training.json`, the digests of all manifests but the
    test split's, on which a training depends. Into the metrics `dataset`: the counts.

    Raises
    ------
    UserError
        If a list is wrong, or an image cannot be read and `on_bad_image` is `fail`.
    """
    root = project.images(dataset.root)
    listings = list_splits(dataset, root)
    if "objects" in listings:
        raise UserError(
            f"{dataset.root}: the split objects: that name is taken by objects.csv; rename the split"
        )
    _tell_disagreements(listings)
    facts = check_images(root, [path for listing in listings.values() for path in listing.paths])
    bad = [fact for fact in facts.values() if isinstance(fact, BadImage)]
    if bad and on_bad_image == "fail":
        raise UserError(
            f"{counted(len(bad), 'image')} of {len(facts)} cannot be read: {_reasons(bad)}; "
            "replace them, or set extract.on_bad_image: skip"
        )
    if bad:
        _log.warning("left out, as they cannot be read: %s", _reasons(bad))
    manifests = {split: _manifest(dataset.name, listing, facts) for split, listing in listings.items()}
    summary = _summary(dataset.name, listings, manifests, facts)
    with whole_folder(project.manifests) as folder:
        for split, manifest in manifests.items():
            write_manifest(manifest, folder / f"{split}.csv")
        _write_objects(folder / "objects.csv", listings.values(), manifests.values())
        write_text(folder / "summary.json", _json(summary))
        write_text(folder / "training.json", _json(_digests(folder, manifests, but=dataset.test)))
    counts = {
        split: {k: v for k, v in part.items() if k != "left_out"} for split, part in summary["splits"].items()
    }
    write_json(project.metrics("dataset"), counts)
    return manifests


def _manifest(name: str, listing: Listing, facts: Mapping[str, ImageFact | BadImage]) -> Manifest:
    rows, good = [], []
    for row, path in enumerate(listing.paths):
        if isinstance(fact := facts[path], ImageFact):
            rows.append(row)
            good.append(fact)
    if not rows:
        raise UserError(
            f"split {listing.split}: none of its {counted(len(listing.ids), 'image')} can be read"
        )
    return Manifest(
        dataset=name,
        split=listing.split,
        classes=listing.classes,
        ids=np.array([listing.ids[row] for row in rows], dtype=np.str_),
        paths=np.array([listing.paths[row] for row in rows], dtype=np.str_),
        digests=np.frombuffer(b"".join(fact.digest for fact in good), np.uint8).reshape(-1, 16),
        sizes=np.array([fact.size for fact in good], dtype=np.int32),
        labels=listing.labels[rows],
    )


def _summary(
    name: str,
    listings: Mapping[str, Listing],
    manifests: Mapping[str, Manifest],
    facts: Mapping[str, ImageFact | BadImage],
) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    for split, manifest in manifests.items():
        left_out = [
            {"id": image_id, "path": path, "reason": fact.reason}
            for image_id, path in zip(listings[split].ids, listings[split].paths, strict=True)
            if isinstance(fact := facts[path], BadImage)
        ]
        splits[split] = {
            "images": len(manifest),
            "unreadable": len(left_out),
            "positives": _count(manifest, 1),
            "difficult": _count(manifest, 0),
            "left_out": left_out,
        }
    return {
        "dataset": name,
        "classes": list(next(iter(manifests.values())).classes),
        "splits": splits,
        "disagreements": [
            {"id": d.id, "class": d.name, "listed": d.listed, "annotated": d.annotated}
            for d in _disagreements(listings)
        ],
    }


def _count(manifest: Manifest, label: int) -> dict[str, int]:
    counts = (manifest.labels == label).sum(0)
    return {name: int(count) for name, count in zip(manifest.classes, counts, strict=True)}


def _disagreements(listings: Mapping[str, Listing]) -> list[Disagreement]:
    """Each once, though an image may be in more than one split."""
    return list(dict.fromkeys(d for listing in listings.values() for d in listing.disagreements))


def _tell_disagreements(listings: Mapping[str, Listing]) -> None:
    if found := _disagreements(listings):
        few = ", ".join(f"{d.id} ({d.name} {d.listed}, annotated {d.annotated})" for d in found[:_NAMED])
        _log.warning(
            "%s in ImageSets/Main and Annotations disagree, the former count: %s%s",
            counted(len(found), "label"), few, _rest(len(found)),
        )  # fmt: skip


def _write_objects(path: Path, listings: Iterable[Listing], manifests: Iterable[Manifest]) -> None:
    kept = {str(image_id) for manifest in manifests for image_id in manifest.ids}
    by_image: dict[str, list[ObjectBox]] = {}
    for listing in listings:
        boxes: dict[str, list[ObjectBox]] = {}
        for box in listing.objects:
            boxes.setdefault(box.id, []).append(box)
        by_image |= boxes
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
    write_csv(path, ["id", "class", "difficult", "truncated", "xmin", "ymin", "xmax", "ymax"], rows)


def _digests(folder: Path, splits: Iterable[str], but: str) -> dict[str, str]:
    return {
        split: hashlib.blake2b((folder / f"{split}.csv").read_bytes(), digest_size=16).hexdigest()
        for split in splits
        if split != but
    }


def _reasons(bad: list[BadImage]) -> str:
    return ", ".join(f"{b.path} ({b.reason})" for b in bad[:_NAMED]) + _rest(len(bad))


def _rest(total: int) -> str:
    return f" and {total - _NAMED} more" if total > _NAMED else ""


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
