"""A model of params.yaml, made: its weights fetched or drawn, and trained where the recipe says so."""

from __future__ import annotations

import logging

from ..datasets.manifest import Manifest, read_manifest
from ..errors import UserError
from ..models.preprocessing import settled
from ..models.weights import start_network, store_start
from ..params import Params
from ..project import Project
from ..results.training import TrainingResult
from ..store.row_cache import is_in
from .curves import write_curves
from .train import train_model

_log = logging.getLogger(__name__)


def make_model(name: str, params: Params, project: Project) -> TrainingResult:
    """Make the model's folder, and its curves.

    Raises
    ------
    UserError
        If the weights are not to be had, or there is nothing to learn from.
    """
    params.model(name)
    model, dataset = settled(name, params.models, project.root), params.dataset
    recipe = model.train
    split = (recipe.split if recipe else None) or dataset.train
    train = read_manifest(project.manifest(split))
    held_out = None
    if recipe:
        if recipe.hold_out and dataset.val:
            held_out = read_manifest(project.manifest(dataset.val))
            train = without(train, held_out)
        check_labels(name, train)
    start = start_network(name, model, train.classes, project.models, project.root)
    if recipe is None:
        card = store_start(name, start, project.model(name))
        write_curves(project.report("training", name), [])
        return TrainingResult(model=name, classes=card.classes, order_assumed=card.order_assumed)
    return train_model(name, model, start, train, held_out, project, project.images(dataset.root))


def without(train: Manifest, held_out: Manifest) -> Manifest:
    """The images of `train` whose bytes are not among `held_out`; one name may be of two images."""
    return train.take(~is_in(train.digests, held_out.digests))


def check_labels(name: str, train: Manifest) -> None:
    """Refuse a split that teaches nothing; warn of classes without a positive image."""
    if not train.classes:
        raise UserError(
            f"models.{name}.train: the data set has no classes to learn; write train: null to use the "
            "weights as they are"
        )
    if len(train) == 0:
        raise UserError(
            f"model {name}: no image to train on in split {train.split}; check train.split, hold_out"
        )
    without = [c for c, there in zip(train.classes, train.labels.count(1), strict=True) if not there]
    if len(without) == len(train.classes):
        raise UserError(f"model {name}: no image of split {train.split} has any class; check its annotation")
    if without:
        _log.warning(
            "model %s: no positive image in split %s for %s: it learns to say no there",
            name,
            train.split,
            ", ".join(without),
        )
