"""The layers of a model on some splits: from images to feature files and their receipts."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..datasets.manifest import Manifest, read_manifest
from ..errors import UserError
from ..files.atomic import write_text
from ..params import Extract, Params, Preprocess
from ..store.feature_file import FeatureFile, feature_path
from ..store.feature_key import FeatureKey
from ..store.feature_writer import FileHead
from ..store.publish import publish, publishing_to
from ..store.row_cache import RowCache, StoredRows, is_in
from .extractor import Images, Network, Outcome, Reading, compute_missing
from .keys import feature_keys
from .reader import available_workers

_BATCH_STEP = 16
_NICENESS = 5  # on few cores the network goes first: decoding only has to keep up with it


@dataclasses.dataclass(frozen=True)
class Job:
    """An extraction: the layers of one model on some splits.

    Attributes
    ----------
    model : str
    keys : {layer: FeatureKey}
    manifests : list of Manifest
        One a split.
    root : Path
        That the manifests' paths start from.
    """

    model: str
    keys: Mapping[str, FeatureKey]
    manifests: Sequence[Manifest]
    root: Path


def extract_model(
    model: str,
    params: Params,
    *,
    models_root: Path | str = Path("data/models"),
    manifest_root: Path | str = Path("data/manifest"),
    features_root: Path | str = Path("data/features"),
) -> None:
    """Extract all layers of a model on the train and test splits, as params.yaml says.

    Writes `<features_root>/<model>/<split>.h5` and a receipt `<layer>.json` for each layer, which says what
    is in those files: who reads one layer depends on its receipt, and adding another layer does not
    touch it. One line on stderr says how long what took.

    Raises
    ------
    UserError
        If the model or a manifest is missing, a layer is not there, or an image gives no pixels.
    """
    splits = dict.fromkeys([params.dataset.train, params.dataset.test])
    job = Job(
        model,
        feature_keys(params, model, models_root),
        [read_manifest(Path(manifest_root) / f"{split}.csv") for split in splits],
        Path(params.dataset.root),
    )
    spec = params.models[model]

    def load_network() -> Network:
        from .forward import load_forward  # brings torch, which a run with nothing new spares

        nodes = list(dict.fromkeys(spec.layers.values()))
        return load_forward(Path(models_root) / model, spec, nodes, params.extract)

    extract_layers(job, params.extract, spec.preprocess, load_network, Path(features_root))


def extract_layers(
    job: Job,
    extract: Extract,
    preprocess: Preprocess,
    load_network: Callable[[], Network],
    features_root: Path,
) -> Outcome:
    """Compute what the cache lacks, publish a feature file for each split and a receipt for each layer."""
    began = time.monotonic()
    nodes = {key.node: key for key in job.keys.values()}  # two layers may name one node
    paths = [str(job.root / path) for manifest in job.manifests for path in manifest.paths]
    images = Images(paths, np.concatenate([manifest.digests for manifest in job.manifests]))
    cache = RowCache(extract.cache)
    with cache.writer() as writer:
        stored, outcome = compute_missing(
            writer,
            nodes,
            images,
            load_network,
            reading_of(extract, preprocess),
            skip_bad=extract.on_bad_image == "skip",
            label=job.model,
        )
        publishing = time.monotonic()
        with publishing_to(features_root / job.model, cache.root / "locks"):
            _publish(job, stored, outcome, features_root)
        outcome.write += time.monotonic() - publishing
    _tell(job.model, len(paths), outcome, time.monotonic() - began)
    return outcome


def reading_of(extract: Extract, preprocess: Preprocess) -> Reading:
    """How `extract` says that images are read.

    The batch is rounded up to a multiple of 16: such batches give the same bits as each other, smaller
    ones do not (on CPUs, fp32 and bf16, measured with torch 2.12).
    """
    batch_size = -(-extract.batch_size // _BATCH_STEP) * _BATCH_STEP
    workers = available_workers() if extract.workers == "auto" else extract.workers
    return Reading(preprocess, batch_size, workers, _NICENESS)


def _publish(job: Job, stored: Mapping[str, StoredRows], outcome: Outcome, features_root: Path) -> None:
    by_layer = {layer: stored[key.node] for layer, key in job.keys.items()}
    bad = np.frombuffer(b"".join(outcome.failures), np.uint8).reshape(-1, 16)
    splits: dict[str, dict] = {}
    skipped: dict[str, list[dict[str, str]]] = {}
    for manifest in job.manifests:
        failed = is_in(manifest.digests, bad)
        skipped[manifest.split] = [
            {"id": str(manifest.ids[row]), "reason": outcome.failures[manifest.digests[row].tobytes()]}
            for row in np.flatnonzero(failed)
        ]
        for item in skipped[manifest.split]:
            print(f"pool5: skipped {item['id']} of {manifest.split}: {item['reason']}", file=sys.stderr)
        kept = manifest.take(~failed)
        if not len(kept):
            raise UserError(f"split {manifest.split}: none of its {len(manifest)} images can be read")
        head = FileHead(
            kept.dataset, kept.split, job.model, kept.classes, kept.ids, kept.digests, kept.labels
        )
        path = feature_path(job.model, manifest.split, features_root)
        publish(path, head, by_layer)
        splits[manifest.split] = describe(FeatureFile.open(path))
    for layer, key in job.keys.items():
        receipt = {
            "feature_key": key.hex,
            "key": json.loads(key.json()),
            "splits": {
                split: {k: v for k, v in about.items() if k != "layers"}
                | {"layer_digest": about["layers"][layer], "skipped": skipped[split]}
                for split, about in splits.items()
            },
        }
        text = json.dumps(receipt, indent=2, sort_keys=True, ensure_ascii=False)
        write_text(features_root / job.model / f"{layer}.json", text + "\n")


def describe(file: FeatureFile) -> dict:
    """What identifies the content of a feature file."""
    return {
        "rows": len(file),
        "ids_digest": file.ids_digest,
        "labels_digest": file.labels_digest,
        "layers": {layer: file.layer_digest(layer) for layer in file.layers},
    }


def _tell(model: str, images: int, outcome: Outcome, seconds: float) -> None:
    computed = outcome.computed
    line = f"{model}: {images} images, {computed} computed"
    if computed:
        line += f" ({computed / seconds:.1f}/s)"
    line += (
        f" in {seconds:.1f} s: read {outcome.read:.1f}, infer {outcome.infer:.1f}, write {outcome.write:.1f}"
    )
    print(f"{line}; bottleneck: {outcome.bottleneck}", file=sys.stderr)
