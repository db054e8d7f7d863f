"""A further map of a stored layer, as the stage `maps` records it: by any method, or of one's own points."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from ...files.hints import counted
from ...params.sections import Maps
from ...results.layer_map import MapResult
from ...search.vectors import check_finite
from ...store.feature_file import FeatureFile
from .layer_map import class_gaps, unmappable
from .methods import METHODS, other_starts
from .trust import measure_trust
from .tsne import draw_sample

_log = logging.getLogger(__name__)


def map_by(method_name: str, file: FeatureFile, layer: str, settings: Maps) -> MapResult:
    """Map a sample of a layer's rows by a method, and measure the map.

    Raises
    ------
    UserError
        If a value is not finite.
    """
    method, name = METHODS[method_name], f"{file.model}/{layer}"
    rows = draw_sample(len(file), settings.sample, settings.seed)
    features = _features(file, layer, rows)
    decided = method.decided_by(settings, len(rows))
    result = MapResult(
        layer=name, split=file.split, method=method_name, title=method.title, images=len(rows),
        seed=settings.seed, decided=decided,
    )  # fmt: skip
    if reason := unmappable(features, method.fewest):
        return replace(result, gaps=(f"no map by {method.title}: {reason}",))
    _log.info("%s %s: %d of %d images of %s", method_name, name, len(rows), len(file), file.split)
    try:
        found = method.lay_out(features, decided, settings.seed, "informed")
    except ImportError as error:
        return replace(result, gaps=(f"no map by {method.title}: {_not_there(error, method.install)}",))
    others = other_starts(method, features, decided, settings.seed, settings.stability_seeds)
    result = replace(result, told=dict(found.told))
    return _measured(result, file, rows, features, found.points, others)


def map_of_points(
    name: str, places: Mapping[str, tuple[float, float]], file: FeatureFile, layer: str, settings: Maps
) -> MapResult:
    """Hold one's own points, by id, against a layer: those of images that the split has.

    Of more than `settings.sample` a draw is shown.

    Raises
    ------
    UserError
        If a value of the layer is not finite.
    """
    there = np.flatnonzero([image in places for image in file.ids.tolist()])
    rows = there[draw_sample(len(there), settings.sample, settings.seed)]
    features = _features(file, layer, rows)
    gaps = []
    if strange := len(places) - len(there):
        gaps.append(f"{counted(strange, 'point')} of {name} of no image of {file.split}")
    if without := len(file) - len(there):
        gaps.append(f"{counted(without, 'image')} of {file.split} without a point in {name}")
    result = MapResult(
        layer=f"{file.model}/{layer}", split=file.split, method=name, title=name, images=len(rows),
        seed=settings.seed, gaps=tuple(gaps),
    )  # fmt: skip
    if reason := unmappable(features):
        return replace(result, gaps=(*gaps, f"no map of {name}: {reason}"))
    points = np.array([places[image] for image in file.ids[rows].tolist()])
    return _measured(result, file, rows, features, points)


def _features(file: FeatureFile, layer: str, rows: np.ndarray) -> np.ndarray:
    features = np.asarray(file.layer(layer)[rows])
    check_finite(features, file.ids[rows], file.model, f"maps: {file.model}/{layer}")
    return features


def _measured(
    result: MapResult,
    file: FeatureFile,
    rows: np.ndarray,
    features: np.ndarray,
    points: np.ndarray,
    others: Sequence[np.ndarray] = (),
) -> MapResult:
    trust = measure_trust(features, file.labels[rows], file.classes, points, others, seed=result.seed)
    return replace(
        result,
        ids=tuple(file.ids[rows].tolist()),
        points=tuple((float(f"{x:.6g}"), float(f"{y:.6g}")) for x, y in points.tolist()),
        neighbors=trust.neighbors,
        trustworthiness=trust.trustworthiness,
        knn_preservation=trust.knn_preservation,
        stability=trust.stability,
        by_class=trust.by_class,
        gaps=(*result.gaps, *class_gaps(file.classes, trust)),
    )


def _not_there(error: ImportError, install: str) -> str:
    again = f"{install}, and run the stage maps again"
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; {again}"
    return f"{error.name or 'its library'} cannot be imported ({error}); {again}"
