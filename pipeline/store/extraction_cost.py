"""What extractions took here, by what went through which network; kept beside the caches, in no output."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from ..errors import UserError
from ..files.atomic import sweep_unfinished
from ..project import Project
from ..results.extraction_cost import ExtractionCost
from ..results.record import load_if_there, save_record
from .feature_key import FeatureKey

_ENOUGH = 1000  # images; of so many a later measurement counts, whatever there was
_log = logging.getLogger(__name__)


def keep_cost(cost: ExtractionCost, keys: Iterable[FeatureKey], project: Project) -> bool:
    """Keep a measurement, unless the one that is there is of more images and this one of few.

    Returns whether it is kept.
    """
    path = _place(keys, project)
    sweep_unfinished(path.parent)  # of a run that was killed at this; the next may have nothing to keep
    known = _read(path)
    if cost.images == 0 or (known is not None and cost.images < min(known.images, _ENOUGH)):
        return False
    try:
        save_record(cost, path)
    except OSError as error:  # the features are there: a full disk must not undo that
        _log.warning("%s: not kept: %s", path, error.strerror)
        return False
    return True


def known_cost(keys: Iterable[FeatureKey], project: Project) -> ExtractionCost | None:
    """What these layers took together when they were computed here; None where that is not known."""
    return _read(_place(keys, project))


def _read(path: Path) -> ExtractionCost | None:
    try:
        return load_if_there(ExtractionCost, path)
    except UserError as error:  # it is measured again some day; nothing stands on it
        _log.warning("%s: passed over", error)
        return None


def _place(keys: Iterable[FeatureKey], project: Project) -> Path:
    """Decided by what takes time: other weights take no other."""
    told = [{**json.loads(key.json()), "weights_sha256": ""} for key in keys]
    whole = json.dumps(sorted(json.dumps(each, sort_keys=True) for each in told))
    return project.cost(hashlib.sha256(whole.encode()).hexdigest()[:32])
