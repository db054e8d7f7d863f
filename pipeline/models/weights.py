"""Where a model's weights come from: drawn, published by its source, another model, a file."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from ..errors import UserError
from ..files.atomic import atomic_write
from ..files.digests import sha256_of_file
from ..params import Model
from .card import CARD_FILE, WEIGHTS_FILE, ModelCard, read_card, write_card
from .checkpoint_file import read_checkpoint
from .network import (
    build_network,
    check_buildable,
    head_name,
    load_weights,
    num_outputs,
    on_shapes_alone,
    read_own_weights,
)
from .sources import source_of

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Start:
    """A network with the weights that a recipe starts from.

    `missing` names what the checkpoint did not have; those weights are drawn at random.
    """

    network: nn.Module
    classes: tuple[str, ...]
    origin: str
    missing: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Origin:
    state: dict[str, torch.Tensor]
    classes: tuple[str, ...]
    origin: str
    missing: tuple[str, ...] = ()


def start_network(name: str, model: Model, classes: tuple[str, ...], models_dir: Path | str) -> Start:
    """The network of `models.<name>` before any training.

    Without a recipe the weights are taken whole, the head with them. With one the network gets an output
    for each of `classes`, and a head that was made for another task is drawn afresh: always that of
    ImageNet and of another model, that of a file where its width differs.

    Parameters
    ----------
    name : str
        The model's key in params.yaml, for messages.
    model : Model
        Its section.
    classes : tuple of str
        Of the data set.
    models_dir : path
        Where other models' folders and the user's files are.

    Raises
    ------
    UserError
        If the weights are not to be had, are not what their hash says, or are of another architecture.
    """
    seed = model.train.seed if model.train else 0
    crop = model.preprocess.crop
    width = max(len(classes), 1)  # of unlabelled images: there must be an output, though it means nothing
    if model.weights == "random":
        network = _drawn(name, model, width, seed)
        return Start(network, classes, f"drawn at random from seed {seed}")
    _check_buildable(name, model)
    found = _origin(name, model, classes, Path(models_dir))
    head = _head_of(model)
    trained_on = _width(found.state, head)
    outputs = width if model.train or trained_on is None else trained_on
    network = _drawn(name, model, outputs, seed)
    taken = dict(found.state)
    if model.train and (trained_on != outputs or not model.weights_are_a_file):
        taken = {key: value for key, value in taken.items() if not key.startswith(f"{head}.")}
    missing = _load(name, network, taken, f"{model.architecture} at {crop} px", found.origin)
    if model.train:
        missing = tuple(key for key in missing if not key.startswith(f"{head}."))
        return Start(network, classes, found.origin, missing)
    return Start(network, found.classes, found.origin, tuple(sorted({*missing, *found.missing})))


def store_start(name: str, model: Model, start: Start, model_dir: Path | str) -> ModelCard:
    """Write weights that are used as they are; warns of what a partial checkpoint lacks."""
    if start.missing:
        total = len(start.network.state_dict())
        shown = ", ".join(start.missing[:4]) + (", …" if len(start.missing) > 4 else "")
        _log.warning(
            f"model {name}: {start.origin} lacks {len(start.missing)} of the {total} weights of a "
            f"{model.architecture} ({shown}); layers computed from them are refused"
        )
    state = {key: value for key, value in start.network.state_dict().items() if key not in start.missing}
    return write_model(
        model_dir,
        state,
        architecture=model.architecture,
        outputs=num_outputs(start.network),
        crop=model.preprocess.crop,
        classes=start.classes,
        origin=start.origin,
        missing=start.missing,
    )


def write_model(
    model_dir: Path | str,
    state: Mapping[str, torch.Tensor],
    *,
    architecture: str,
    outputs: int,
    crop: int,
    classes: tuple[str, ...],
    origin: str,
    missing: tuple[str, ...] = (),
    recipe: dict[str, Any] | None = None,
) -> ModelCard:
    """Write a model's folder. The card comes last: a folder without one is not a model."""
    model_dir = Path(model_dir)
    (model_dir / CARD_FILE).unlink(missing_ok=True)
    with atomic_write(model_dir / WEIGHTS_FILE) as temporary:
        save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, temporary)
        sha256 = sha256_of_file(temporary)
    card = ModelCard(architecture, outputs, crop, classes, sha256, origin, missing, recipe)
    write_card(model_dir, card)
    return card


def _check_buildable(name: str, model: Model) -> None:
    try:
        check_buildable(model.architecture, model.preprocess.crop)
    except UserError as error:
        raise UserError(f"model {name}: {error}") from None


def _drawn(name: str, model: Model, outputs: int, seed: int) -> nn.Module:
    _check_buildable(name, model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(model.architecture, outputs, model.preprocess.crop)


def _head_of(model: Model) -> str:
    return head_name(on_shapes_alone(model.architecture, 1, model.preprocess.crop))


def _width(state: Mapping[str, torch.Tensor], head: str) -> int | None:
    weight = state.get(f"{head}.weight")
    return None if weight is None else weight.shape[0]


def _origin(name: str, model: Model, classes: tuple[str, ...], models_dir: Path) -> _Origin:
    if model.weights == "imagenet":
        return _published(name, model.architecture, model.weights)
    if model.weights_are_a_file:
        return _file(name, model, classes, models_dir / model.weights)
    folder = models_dir / model.weights
    card = read_card(folder)
    if card.architecture != model.architecture:
        raise UserError(
            f"models.{name}.weights: {model.weights} is a {card.architecture}, not a {model.architecture}; "
            "start from a model of the same architecture"
        )
    return _Origin(read_own_weights(folder, card), card.classes, f"model {model.weights}", card.missing)


def _file(name: str, model: Model, classes: tuple[str, ...], path: Path) -> _Origin:
    try:
        found = sha256_of_file(path)
    except FileNotFoundError:
        raise UserError(f"model {name}: {path}: no such file; put or link the checkpoint there") from None
    if found != model.sha256:
        raise UserError(
            f"models.{name}.sha256: {path} has {found}, not {model.sha256}; fetch the file again or, "
            "if you trust it, write its sha256 there"
        )
    source = source_of(model.architecture)
    state = source.own_names(model.architecture, read_checkpoint(path, name))
    outputs = _width(state, _head_of(model))
    named = classes if outputs in (None, len(classes)) else ()
    return _Origin(state, named, f"file {model.weights}, sha256 {found}")


def _published(name: str, architecture: str, tag: str) -> _Origin:
    source = source_of(architecture)
    try:
        weights = source.weights(architecture, tag)
    except UserError as error:
        raise UserError(f"model {name}: {error}") from None
    state = source.own_names(architecture, read_checkpoint(weights.path, name))
    return _Origin(state, weights.classes, f"{weights.origin}, sha256 {sha256_of_file(weights.path)}")


def _load(
    name: str, network: nn.Module, state: Mapping[str, torch.Tensor], wanted: str, origin: str
) -> tuple[str, ...]:
    """Copy `state` into `network`; give the names that it lacks."""
    own = network.state_dict()
    for key, value in state.items():
        if key not in own:
            raise UserError(
                f"model {name}: {origin} is of another architecture: it has {key}, which a {wanted} has not"
            )
        if value.shape != own[key].shape:
            raise UserError(
                f"model {name}: {origin} is of another architecture: {key} is {tuple(value.shape)}, "
                f"{tuple(own[key].shape)} in a {wanted}"
            )
    # checkpoints from before torch 0.4.1 have no batch counters, which nothing is computed from
    missing = tuple(k for k in own if k not in state and not k.endswith("num_batches_tracked"))
    if not any(key in state for key in own):
        raise UserError(f"model {name}: {origin} has none of the weights of a {wanted}")
    load_weights(network, state, strict=False)
    return missing
