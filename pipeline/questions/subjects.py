"""What a command is asked about: images of the data set by their ids, or image files."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..params import Params, problem_with_words, split_reference
from ..project import Project
from ..store.feature_file import FeatureFile


def find_image(
    features: FeatureFile, layer: str, name: str, beside: Iterable[FeatureFile] | None = None
) -> tuple[FeatureFile, int] | None:
    """The feature file that has an image, `features` or that of another split, and its row there.

    `beside` are the files of the other splits; without them, they are opened.

    Raises
    ------
    UserError
        If the other split's features have another key.
    """
    if beside is None:
        others = (path for path in sorted(features.path.parent.glob("*.h5")) if path != features.path)
        beside = (FeatureFile.open(path, features.stage) for path in others)
    for file in itertools.chain([features], beside):
        if name in file:
            if file.key_digest(layer) != features.key_digest(layer):
                raise UserError(f"{file.path}: other features than {features.path}", rerun=features.stage)
            return file, int(file.rows([name])[0])
    return None


def stored_image(features: FeatureFile, layer: str, name: str) -> tuple[FeatureFile, int]:
    """As `find_image`; refuses what no split has, and names ids of `features` that are near."""
    return find_image(features, layer, name) or (features, int(features.rows([name])[0]))


def embed_files(
    images: Sequence[Path], features: FeatureFile, layer: str, params: Params, project: Project
) -> np.ndarray:
    """The (n, D) features of image files, which go through just what the stored ones went through.

    Of a derived layer, they go through the model that it is of, and its steps.

    Raises
    ------
    UserError
        If a file is no image, or `features` have another key than params.yaml and data/models ask for.
    """
    from ..images.budget import Budget, UnreadableImage
    from ..images.image_file import read_image

    check_key(params, project, layer, features)
    try:
        for image in images:
            # what is no image is refused before the network is built
            read_image(image, Budget(params.extract.memory_gb))
    except UnreadableImage as error:
        raise UserError(f"--image {error.path}: {error.reason}; give another file") from None
    from ..extract.embed import embed_images

    reference = f"{features.model}/{layer}"
    source, _ = split_reference(params.source(reference))
    rows = embed_images(images, source, params, layers=[layer], project=project)[layer]
    return _derived(rows, features, params, project, reference)


def embed_words(
    texts: Sequence[str], features: FeatureFile, layer: str, params: Params, project: Project
) -> np.ndarray:
    """The (n, D) float32 vectors of texts, in the space of a layer.

    Raises
    ------
    UserError
        If the layer's model does not read, or `features` have another key than params.yaml asks for.
    """
    check_key(params, project, layer, features)
    reference = f"{features.model}/{layer}"
    if problem := problem_with_words(params, reference):
        raise UserError(f"“{texts[0]}” is taken as a text, and {problem}")
    from ..models.text import embed_texts

    source, _ = split_reference(params.source(reference))
    return embed_texts(project.model(source), texts, project.root)


def _derived(
    rows: np.ndarray, features: FeatureFile, params: Params, project: Project, reference: str
) -> np.ndarray:
    """What the steps of a derived layer make of the rows of its source; of a model's own layer, these."""
    from ..analysis.derived_layer import FIT, read_fit

    key = features.feature_key(split_reference(reference)[1])
    for name, derivation in zip(params.derived_by(reference), key.derived, strict=True):
        rows = read_fit(project.derived_folder(name) / FIT, derivation).derive(rows, key.dtype)
    return rows


def check_key(params: Params, project: Project, layer: str, features: FeatureFile) -> None:
    """Refuse features of another key than params.yaml and the project's models ask for now."""
    from ..extract.keys import feature_keys

    reference, stored = f"{features.model}/{layer}", features.feature_key(layer)
    source, _ = split_reference(params.source(reference))
    wanted = feature_keys(params, source, project.models).get(layer)
    if wanted is None:
        layers = ", ".join(params.models[source].layers)
        raise UserError(f"{source} has no layer {layer} in params.yaml; it has {layers}")
    other = [
        name for name, value in dataclasses.asdict(wanted).items() if getattr(stored.source, name) != value
    ]
    asked = [params.derive[name].steps for name in params.derived_by(reference)]
    if [derivation.steps for derivation in stored.derived] != asked:
        other.append("steps")
    if other:
        raise UserError(
            f"{features.path}: {layer} was stored with another {' and '.join(other)} than params.yaml and "
            "the model have now",
            rerun=features.stage,
        )
