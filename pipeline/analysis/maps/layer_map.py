"""The map of a stored layer, as the stage `tsne` records it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from ...params.sections import Tsne
from ...results.tsne_map import KeptMap, TsneResult
from ...search.vectors import check_finite
from ...store.feature_file import FeatureFile
from .kept_map import EarlierMap, as_made, keep_points, lasting_sample
from .methods import METHODS, other_starts
from .trust import Trust, knn_preservation, measure_trust
from .tsne import choose_backend, draw_sample

_FEWEST = 4  # images, of which two have a neighbor and a stranger
_LARGEST = 1e15  # openTSNE ends the process where distances overflow
_NAMED = 5  # classes named in a gap
_log = logging.getLogger(__name__)


def map_layer(file: FeatureFile, layer: str, settings: Tsne, earlier: EarlierMap | None = None) -> TsneResult:
    """Map a sample of a layer's rows and measure the map.

    Parameters
    ----------
    earlier : EarlierMap, optional
        With `settings.keep`: the map whose points are kept.

    Raises
    ------
    UserError
        If a value is not finite.
    """
    name = f"{file.model}/{layer}"
    if settings.keep:
        rows = lasting_sample(file.digests, settings.sample, settings.seed)
    else:
        rows = draw_sample(len(file), settings.sample, settings.seed)
    features, ids, labels = np.asarray(file.layer(layer)[rows]), file.ids[rows], file.labels[rows]
    check_finite(features, ids, file.model, f"tsne: {name}")
    perplexity, gaps = _perplexity(settings.perplexity, len(rows))
    result = TsneResult(
        layer=name, split=file.split, images=len(rows), perplexity=perplexity, seed=settings.seed
    )
    if reason := unmappable(features):
        return replace(result, gaps=(f"no map: {reason}",))
    backend, why = choose_backend(len(rows), settings.backend)
    _log.info("tsne %s: %d of %d images of %s, %s", name, len(rows), len(file), file.split, why)
    tsne, decided = METHODS["tsne"], {"perplexity": perplexity, "backend": backend}
    kept = _keep(settings, earlier, ids, features)
    found = kept if isinstance(kept, _Kept) else tsne.lay_out(features, decided, settings.seed, "informed")
    others = other_starts(tsne, features, decided, settings.seed, settings.stability_seeds)
    trust = measure_trust(features, labels, file.classes, found.points, others, seed=settings.seed)
    result = replace(
        result,
        backend=backend,
        ids=tuple(ids.tolist()),
        points=tuple((round(x, 5), round(y, 5)) for x, y in found.points.tolist()),
        neighbors=trust.neighbors,
        kl=found.kl if isinstance(found, _Kept) else found.told["kl"],
        trustworthiness=trust.trustworthiness,
        knn_preservation=trust.knn_preservation,
        stability=trust.stability,
        by_class=trust.by_class,
    )
    if isinstance(kept, _Kept):
        result, gaps = replace(result, perplexity=kept.perplexity, kept=kept.told), kept.gaps
    elif settings.keep:
        result, gaps = replace(result, kept=as_made(result.ids, result.points)), [*kept, *gaps]
    return replace(result, gaps=(*gaps, *class_gaps(file.classes, trust)))


@dataclasses.dataclass(frozen=True)
class _Kept:
    """An earlier map with the images of now; it has no divergence unless it is as it was made."""

    points: np.ndarray
    kl: float | None
    perplexity: float
    told: KeptMap
    gaps: list[str]


def _keep(
    settings: Tsne, earlier: EarlierMap | None, ids: np.ndarray, features: np.ndarray
) -> _Kept | list[str]:
    """The earlier map, or the gap where there is one that cannot be kept."""
    if not settings.keep or earlier is None or not earlier.result.ids:
        return []
    found = keep_points(earlier, ids, features)
    if isinstance(found, str):
        return [f"the earlier map was not kept: {found}"]
    points, told = found
    perplexity, gaps = _perplexity(settings.perplexity, told.images)
    kl = earlier.result.kl
    if told.placed or told.gone:
        placed = np.isin(ids, told.placed)
        told = replace(told, knn_preservation=knn_preservation(features, points, placed))
        kl, share = None, f"{len(told.placed)} of {len(ids)} images were placed"
        gone = f", of which {told.gone} are gone" if told.gone else ""
        gaps.append(f"no KL divergence: {share} into the map of {told.images}{gone}")
    return _Kept(points, kl, perplexity, told, gaps)


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


def unmappable(features: np.ndarray, fewest: int = _FEWEST) -> str | None:
    """Why there can be no map of some rows; None where there can."""
    if (count := len(features)) < fewest:
        return f"it needs {fewest} images or more, and there are {count}"
    if (features == features[0]).all():
        return f"all {count} images have the same values"
    if (largest := float(np.abs(features).max())) > _LARGEST:
        return f"there are values of {largest:.1g}, whose squares have no place in a float"
    return None


def class_gaps(classes: Sequence[str], trust: Trust) -> list[str]:
    """The classes that the measures by class lack, and why."""
    if not classes:
        return ["no purity by class: the images have no labels"]
    measured = {part.class_name for part in trust.by_class}
    missing = [name for name in classes if name not in measured]
    if not missing:
        return []
    named = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if missing[_NAMED:] else "")
    return [f"no purity of {named}: shown by fewer than two images of the map"]
