"""Features of images that are in no data set, such as a query's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..images.address import Address
from ..images.budget import UnreadableImage
from ..images.image_bytes import digest_of, read_bytes
from ..models.card import read_card, settled_by
from ..params import Layer, Params
from ..project import Project
from .decoding import ImageTask
from .forward import load_forward
from .reader import read_batches
from .work import reading_of, rounded_batch


def embed_images(
    paths: Sequence[Path | str],
    model: str,
    params: Params,
    layers: Sequence[str] | None = None,
    project: Project = Project(),  # noqa: B008 - immutable
) -> dict[str, np.ndarray]:
    """Features as the extraction would store them: same pixels, weights, precision, dtype and bits.

    Nothing is written, and the row cache is not asked.

    Parameters
    ----------
    paths : sequence of n paths
    layers : sequence of str, optional
        By default every layer of the model.
    project : Project
        Where the model is; by default the working folder.

    Returns
    -------
    {layer: (n, D) array of `extract.dtype`}

    Raises
    ------
    UnreadableImage
        For an image that gives no pixels.
    UserError
        If there is no such model or layer, or it has not been made.
    """
    spec = settled_by(read_card(project.model(model)), params.model(model))
    if unknown := [layer for layer in layers or () if layer not in spec.layers]:
        raise UserError(f"{model} has no layer {unknown[0]}; it has {', '.join(spec.layers)}")
    named = {layer: spec.nodes[layer] for layer in layers or spec.layers}
    wanted = list(dict.fromkeys(named.values()))
    forward = load_forward(project.model(model), spec, wanted, params.extract, project.root)
    tasks = (
        ImageTask(number, str(path), digest_of(read_bytes(path), path))
        for number, path in enumerate(map(Address, map(str, paths)))
    )
    reading = reading_of(params.extract, spec.transform)
    rows: dict[Layer, list[np.ndarray]] = {layer: [] for layer in wanted}
    batches = read_batches(
        tasks,
        batch_size=min(reading.batch_size, rounded_batch(len(paths))),
        preprocess=reading.preprocess,
        workers=0,
        memory_gb=reading.memory_gb,
    )
    for batch in batches:
        for failure in batch.failures:
            raise UnreadableImage(failure.path, failure.reason)
        for layer, values in forward.start(batch.images)().items():
            rows[layer].append(values[batch.places])
    return {name: np.concatenate(rows[layer]) for name, layer in named.items()}
