"""The layers of a model on some splits: from images to feature files."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..datasets.manifest import Manifest, read_manifest
from ..errors import UserError
from ..images.address import Address
from ..models.card import read_card, settled_by
from ..params import Extract, Layer, Params, Preprocess
from ..project import Project
from ..results.extraction import ExtractedSplit, ExtractionResult, Skipped
from ..results.record import save_record
from ..store.feature_key import FeatureKey
from ..store.feature_writer import FileHead
from ..store.layer_shape import LayerShape
from ..store.publish import publish, publishing_to
from ..store.row_cache import CacheWriter, RowCache, StoredRows, is_in
from .extractor import ImageFiles, Network, Outcome, Reading, compute_missing, rounded_batch
from .keys import feature_keys
from .reader import available_workers
from .row_size import told_if_large

_NICENESS = 5  # on few cores the network goes first: decoding only has to keep up with it
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Job:
    """An extraction: the layers of one model on some splits.

    Attributes
    ----------
    model : str
    keys : {layer: FeatureKey}
    manifests : list of Manifest
        One a split.
    root : str
        That the manifests' paths start from.
    dataset : str
        The data set's name.
    """

    model: str
    keys: Mapping[str, FeatureKey]
    manifests: Sequence[Manifest]
    root: str
    dataset: str


def extract_model(model: str, params: Params, project: Project) -> ExtractionResult:
    """Extract all layers of a model on the train and test splits, as params.yaml says.

    Writes a feature file for each split and the record beside them; logs how long what took.

    Raises
    ------
    UserError
        If the model or a manifest is missing, a layer is not there, or an image gives no pixels.
    """
    asked = params.model(model)  # first: a name that is none has no card either
    card = read_card(project.model(model))
    spec = settled_by(card, asked)
    splits = dict.fromkeys([params.dataset.train, params.dataset.test])
    job = Job(
        model,
        feature_keys(params, model, project.models),
        [read_manifest(project.manifest(split)) for split in splits],
        project.images(params.dataset.root),
        params.dataset.name,
    )

    def load_network() -> Network:
        from .forward import load_forward  # brings torch, which a run with nothing new spares

        layers = list(dict.fromkeys(spec.nodes.values()))
        return load_forward(project.model(model), spec, layers, params.extract, project.root)

    def find_shapes(layers: Sequence[Layer]) -> Mapping[Layer, LayerShape]:
        from ..models.layers import stored_shapes

        return stored_shapes(card, spec.transform.crop, layers, project.root)

    result, _ = extract_layers(job, params.extract, spec.transform, load_network, project, find_shapes)
    return result


def extract_layers(
    job: Job,
    extract: Extract,
    preprocess: Preprocess,
    load_network: Callable[[], Network],
    project: Project,
    find_shapes: Callable[[Sequence[Layer]], Mapping[Layer, LayerShape]] | None = None,
) -> tuple[ExtractionResult, Outcome]:
    """Compute what the cache lacks; publish a feature file for each split and the record beside them.

    `find_shapes` tells what a row is, of layers of which the cache does not know it.
    """
    began = time.monotonic()
    keys = {_layer_of(key): key for key in job.keys.values()}  # two layers may be one under two names
    paths = [
        str(Address.parse(path, job.root)) for manifest in job.manifests for path in manifest.paths.tolist()
    ]
    images = ImageFiles(paths, np.concatenate([manifest.digests for manifest in job.manifests]))
    cache = RowCache(*project.row_caches(extract.cache, extract.read_also))
    with cache.writer() as writer:
        stored, outcome = compute_missing(
            writer,
            keys,
            images,
            load_network,
            reading_of(extract, preprocess),
            skip_bad=extract.on_bad_image == "skip",
            label=job.model,
        )
        publishing = time.monotonic()
        _keep_shapes(writer, stored, find_shapes)
        record = project.extraction(job.model)
        with publishing_to(record.parent, cache.root / "locks"):
            result = _publish(job, stored, outcome.failures, project)
            save_record(result, record)
        outcome.write += time.monotonic() - publishing
    _tell(job.model, len(paths), outcome, time.monotonic() - began)
    return result, outcome


def _layer_of(key: FeatureKey) -> Layer:
    return Layer(node=key.node, pool=key.pool)


def _keep_shapes(
    writer: CacheWriter,
    stored: Mapping[Layer, StoredRows],
    find_shapes: Callable[[Sequence[Layer]], Mapping[Layer, LayerShape]] | None,
) -> None:
    unknown = [layer for layer, rows in stored.items() if rows.width is not None and rows.shape is None]
    if unknown and find_shapes:
        for layer, shape in find_shapes(unknown).items():
            writer.keep_shape(stored[layer].key, shape)


def reading_of(extract: Extract, preprocess: Preprocess) -> Reading:
    """How `extract` says that images are read.

    The batch is rounded up, see `rounded_batch`.
    """
    batch_size = rounded_batch(extract.batch_size)
    workers = available_workers() if extract.workers == "auto" else extract.workers
    return Reading(preprocess, batch_size, workers, _NICENESS, extract.memory_gb)


def _publish(
    job: Job, stored: Mapping[Layer, StoredRows], failures: Mapping[bytes, str], project: Project
) -> ExtractionResult:
    by_layer = {layer: stored[_layer_of(key)] for layer, key in job.keys.items()}
    for layer, rows in by_layer.items():
        if told := told_if_large(f"{job.model}/{layer}", rows.width or 0, rows.key.dtype):
            _log.info(told)
    bad = np.frombuffer(b"".join(failures), np.uint8).reshape(-1, 16)
    splits = {}
    for manifest in job.manifests:
        failed = is_in(manifest.digests, bad)
        skipped = tuple(
            Skipped(id=str(manifest.ids[row]), reason=failures[manifest.digests[row].tobytes()])
            for row in np.flatnonzero(failed)
        )
        for image in skipped:
            _log.warning("skipped %s of %s: %s", image.id, manifest.split, image.reason)
        kept = manifest.take(~failed)
        if not len(kept):
            raise UserError(f"split {manifest.split}: none of its {len(manifest)} images can be read")
        head = FileHead(job.dataset, kept.split, job.model, kept.classes, kept.ids, kept.digests, kept.labels)
        publish(project.features(job.model, manifest.split), head, by_layer)
        splits[manifest.split] = ExtractedSplit(rows=len(kept), skipped=skipped)
    return ExtractionResult(model=job.model, splits=splits)


def _tell(model: str, images: int, outcome: Outcome, seconds: float) -> None:
    computed = outcome.computed
    line = f"{model}: {images} images, {computed} computed"
    if computed:
        line += f" ({computed / seconds:.1f}/s)"
    line += (
        f" in {seconds:.1f} s: read {outcome.read:.1f}, infer {outcome.infer:.1f}, write {outcome.write:.1f}"
    )
    _log.info("%s; bottleneck: %s", line, outcome.bottleneck)
