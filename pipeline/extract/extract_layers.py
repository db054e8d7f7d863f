"""The layers of a model on some splits: from images to feature files."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..errors import UserError
from ..models.card import read_card
from ..params import Extract, Layer, Params, Preprocess
from ..project import Project
from ..results.extraction import ExtractedSplit, ExtractionResult, Skipped
from ..results.extraction_cost import ExtractionCost
from ..results.record import save_record
from ..store.extraction_cost import keep_cost
from ..store.feature_writer import FileHead
from ..store.layer_shape import LayerShape
from ..store.publish import publish, publishing_to
from ..store.row_cache import CacheWriter, RowCache, StoredRows, is_in
from ..store.row_shard import DamagedShard
from .device_processes import compute_locally
from .job import Job, job_of, layer_of
from .reader import MachineShare
from .row_size import told_if_large
from .runners import runner_of
from .stored_rows import check_kinds
from .work import Network, Outcome, Work, reading_of

_log = logging.getLogger(__name__)


def extract_model(model: str, params: Params, project: Project) -> ExtractionResult:
    """Extract all layers of a model on the train and test splits, as params.yaml says.

    Writes a feature file for each split and the record beside them; logs how long what took.

    Raises
    ------
    UserError
        If the model or a manifest is missing, a layer is not there, or an image gives no pixels.
    """
    job, preprocess, network = job_of(model, params, project)

    def find_shapes(layers: Sequence[Layer]) -> Mapping[Layer, LayerShape]:
        from ..models.layers import stored_shapes

        return stored_shapes(read_card(network.folder), preprocess.crop, layers, project.root)

    result, _ = extract_layers(job, params.extract, preprocess, network, project, find_shapes)
    return result


def extract_unit(model: str, params: Params, project: Project, number: int, count: int) -> Outcome:
    """Compute what the cache lacks of one of `count` slices of a model's images; publishes nothing.

    The slices are those of the distinct images in the manifests' order, so that every process that is given
    a number of its own from 1 to `count` does work of its own: none looks at what the others have in hand.

    Raises
    ------
    UserError
        As `extract_model`.
    """
    began = time.monotonic()
    job, preprocess, network = job_of(model, params, project)
    work = job.work(params.extract, preprocess, network, project)
    everything = job.images.distinct()
    images = everything.share(number, count)
    work = dataclasses.replace(work, beside=everything)  # what other units have stored
    with RowCache(work.caches[0], work.caches[1:]).writer(claims=False) as writer:
        _, outcome = compute_locally(writer, images, work)
    for path, digest in zip(images.paths, images.digests, strict=True):
        if reason := outcome.failures.get(digest.tobytes()):
            _log.warning("skipped %s: %s", path, reason)
    seconds = time.monotonic() - began
    _tell(f"{model}, unit {number} of {count}", len(images), outcome, seconds)
    _keep_cost(job, work, outcome, seconds, project)
    return outcome


def extract_layers(
    job: Job,
    extract: Extract,
    preprocess: Preprocess,
    load_network: Callable[..., Network],
    project: Project,
    find_shapes: Callable[[Sequence[Layer]], Mapping[Layer, LayerShape]] | None = None,
) -> tuple[ExtractionResult, Outcome]:
    """Compute what the cache lacks; publish a feature file for each split and the record beside them.

    `find_shapes` tells what a row is, of layers of which the cache does not know it.
    """
    began = time.monotonic()
    images, work = job.images, job.work(extract, preprocess, load_network, project)
    outcome, result = Outcome(), None
    with RowCache(work.caches[0], work.caches[1:]).writer() as writer:
        while result is None:
            stored, done = runner_of(extract)(writer, images, work)
            outcome.add(done)
            publishing = time.monotonic()
            if not extract.mixed:
                check_kinds(stored)
            _keep_shapes(writer, stored, find_shapes)
            record = project.extraction(job.model)
            with publishing_to(record.parent, project.publishing_locks):
                try:
                    result = _publish(job, stored, outcome.failures, project)
                except DamagedShard:  # found as its rows were read: they are computed again
                    for rows in stored.values():
                        writer.set_aside(rows)
                else:
                    save_record(result, record)
            outcome.write += time.monotonic() - publishing
    seconds = time.monotonic() - began
    _tell(job.model, len(images), outcome, seconds)
    _keep_cost(job, work, outcome, seconds, project)
    return result, outcome


def _keep_shapes(
    writer: CacheWriter,
    stored: Mapping[Layer, StoredRows],
    find_shapes: Callable[[Sequence[Layer]], Mapping[Layer, LayerShape]] | None,
) -> None:
    unknown = [layer for layer, rows in stored.items() if rows.width is not None and rows.shape is None]
    if unknown and find_shapes:
        for layer, shape in find_shapes(unknown).items():
            writer.keep_shape(stored[layer].key, shape)


def _publish(
    job: Job, stored: Mapping[Layer, StoredRows], failures: Mapping[bytes, str], project: Project
) -> ExtractionResult:
    by_layer = {layer: stored[layer_of(key)] for layer, key in job.keys.items()}
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


def _keep_cost(job: Job, work: Work, outcome: Outcome, seconds: float, project: Project) -> None:
    """Keep what it took, for the figure of cost against accuracy."""
    if not outcome.computed:
        return
    share, timed = MachineShare(outcome.devices), outcome.timed
    reading = reading_of(work.extract, work.preprocess, share)
    cost = ExtractionCost(
        device=outcome.device,
        precision=work.extract.precision,
        batch_size=reading.batch_size,
        workers=reading.workers * outcome.devices,
        machines=outcome.workers,
        images=outcome.computed,
        seconds=max(seconds - outcome.waited, 1e-3),
        read=outcome.read,
        infer=outcome.infer,
        write=outcome.write,
        bottleneck=outcome.bottleneck,
        network_rate=timed.images / timed.seconds if timed.seconds > 0 else None,
    )
    keep_cost(cost, job.keys.values(), project)


def _tell(model: str, images: int, outcome: Outcome, seconds: float) -> None:
    computed = outcome.computed
    line = f"{model}: {images} images, {computed} computed"
    if computed:
        line += f" ({computed / seconds:.1f}/s)"
    line += f" in {seconds:.1f} s"
    if outcome.workers > 1:
        line += f"; {outcome.workers} workers together"
    if outcome.devices > 1:
        line += f"; {outcome.device}"
    line += f": read {outcome.read:.1f}, infer {outcome.infer:.1f}, write {outcome.write:.1f}"
    _log.info("%s; bottleneck: %s", line, outcome.bottleneck)
