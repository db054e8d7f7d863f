"""The map of a stored layer, as the stage `tsne` records it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from ..params.sections import Tsne
from ..results.tsne_map import TsneResult
from ..search.vectors import check_finite
from ..store.feature_file import FeatureFile
from .map_trust import Trust, measure_trust
from .tsne import choose_backend, draw_sample, make_map

_FEWEST = 4  # images, of which two have a neighbor and a stranger
_LARGEST = 1e15  # openTSNE ends the process where distances overflow
_NAMED = 5  # classes named in a gap
_log = logging.getLogger(__name__)


def map_layer(file: FeatureFile, layer: str, settings: Tsne) -> TsneResult:
    """Map a sample of a layer's rows and measure the map.

    Raises
    ------
    UserError
        If a value is not finite.
    """
    name = f"{file.model}/{layer}"
    rows = draw_sample(len(file), settings.sample, settings.seed)
    features, ids, labels = np.asarray(file.layer(layer)[rows]), file.ids[rows], file.labels[rows]
    check_finite(features, ids, file.model, f"tsne: {name}")
    perplexity, gaps = _perplexity(settings.perplexity, len(rows))
    result = TsneResult(
        layer=name, split=file.split, images=len(rows), perplexity=perplexity, seed=settings.seed
    )
    if reason := _unmappable(features):
        return replace(result, gaps=(f"no map: {reason}",))
    backend, why = choose_backend(len(rows), settings.backend)
    _log.info("tsne %s: %d of %d images of %s, %s", name, len(rows), len(file), file.split, why)
    draw = functools.partial(make_map, features, perplexity=perplexity, backend=backend)
    found = draw(seed=settings.seed)
    starts = [settings.seed + 1 + i for i in range(settings.stability_seeds)]
    others = [draw(seed=seed, start="random").points for seed in starts]
    trust = measure_trust(features, labels, file.classes, found.points, others, seed=settings.seed)
    result = replace(
        result,
        backend=backend,
        ids=tuple(ids.tolist()),
        points=tuple((round(x, 5), round(y, 5)) for x, y in found.points.tolist()),
        neighbors=trust.neighbors,
        kl=found.kl,
        trustworthiness=trust.trustworthiness,
        knn_preservation=trust.knn_preservation,
        stability=trust.stability,
        by_class=trust.by_class,
    )
    return replace(result, gaps=(*gaps, *_class_gaps(file.classes, trust)))


def _perplexity(wanted: float, count: int) -> tuple[float, list[str]]:
    """As high as the images allow, with the gap where that is lower than `wanted`."""
    highest = max(count - 1, 0) / 3
    if wanted <= highest:
        return wanted, []
    needed = int(np.ceil(3 * wanted)) + 1
    return highest, [
        f"perplexity {highest:.4g} instead of {wanted:g}, for which {needed} images are needed; "
        f"there are {count}"
    ]


def _unmappable(features: np.ndarray) -> str | None:
    if (count := len(features)) < _FEWEST:
        return f"it needs {_FEWEST} images or more, and there are {count}"
    if (features == features[0]).all():
        return f"all {count} images have the same values"
    if (largest := float(np.abs(features).max())) > _LARGEST:
        return f"there are values of {largest:.1g}, whose squares have no place in a float"
    return None


def _class_gaps(classes: Sequence[str], trust: Trust) -> list[str]:
    if not classes:
        return ["no purity by class: the images have no labels"]
    measured = {part.class_name for part in trust.by_class}
    missing = [name for name in classes if name not in measured]
    if not missing:
        return []
    named = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if missing[_NAMED:] else "")
    return [f"no purity of {named}: shown by fewer than two images of the map"]
