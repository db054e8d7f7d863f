"""The most typical images of each class: those that most others of it have among their nearest.

What many nearest-neighbor lists hold, a hub, lies where the class is densest; as the prototype of a group
hubs are better than its medoid where there are many dimensions (Tomašev, Radovanović, Mladenić and Ivanović
2014, The Role of Hubness in Clustering High-Dimensional Data).
"""

from __future__ import annotations

import numpy as np

from ...files.hints import some_of
from ...results.outliers import TypicalImage, TypicalOfClass
from ...store.feature_file import FeatureFile

FEWEST = 3  # images of a class
_SHOWN = 6


def typical_of_classes(
    rows: np.ndarray, far: np.ndarray, file: FeatureFile
) -> tuple[list[TypicalOfClass], list[str]]:
    """The most typical images of each class, and what cannot be said.

    Of images that equally many name, the one in the denser place comes first.

    Parameters
    ----------
    rows : (N, k) int64
        The nearest of every row of `file`.
    far : (N,) float64
        The distance of every row to its k-th neighbor.
    """
    found, without = [], list[str]()
    for column, class_name in enumerate(file.classes):
        members = np.flatnonzero(file.labels[:, column] == 1)
        if len(members) < FEWEST:
            without.append(class_name)
            continue
        named = np.bincount(rows[members].ravel(), minlength=len(far))[members]
        first = np.lexsort((far[members], -named))[:_SHOWN]
        typical = (
            TypicalImage(id=name, named_by=count)
            for name, count in zip(file.ids[members[first]].tolist(), named[first].tolist(), strict=True)
            if count
        )
        found.append(
            TypicalOfClass(
                class_name=class_name,
                images=len(members),
                median=float(np.median(named)),
                typical=tuple(typical),
            )
        )
    if not file.classes:
        return [], ["there are no classes, so no image is typical of one"]
    few = f"{file.split}: fewer than {FEWEST} images show {some_of(without)}: none is typical of it"
    return found, [few] if without else []
