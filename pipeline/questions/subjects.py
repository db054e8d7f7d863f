"""What a command is asked about: images of the data set by their ids, or image files."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..params import Params
from ..project import Project
from ..store.feature_file import FeatureFile
from .space import Space


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

    space = Space.of(features, layer)
    space.check(params, project)
    try:
        for image in images:
            # what is no image is refused before the network is built
            read_image(image, Budget(params.extract.memory_gb))
    except UnreadableImage as error:
        raise UserError(f"--image {error.path}: {error.reason}; give another file") from None
    from ..extract.embed import embed_images

    rows = embed_images(images, space.model(params), params, layers=[layer], project=project)[layer]
    return space.derive(rows, params, project)
