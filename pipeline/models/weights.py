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
from .card import CARD_FILE, WEIGHTS_FILE, ModelCard, read_card, recipe_of, write_card
from .checkpoint_file import own_part, read_checkpoint
from .network import (
    build_network,
    check_buildable,
    head_name,
    load_weights,
    num_outputs,
    on_shapes_alone,
    read_own_weights,
)
from .preprocessing import as_plain, tell_if_other
from .sources import source_of

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Start:
    """A network with the weights that a recipe starts from.

    `missing` names what the checkpoint did not have; those weights are drawn at random. The rest is as in
    `ModelCard`.
    """

    network: nn.Module
    classes: tuple[str, ...]
    origin: str
    missing: tuple[str, ...] = ()
    options: Mapping[str, bool] = dataclasses.field(default_factory=dict)
    trained_with: dict[str, Any] | None = None
    order_assumed: bool = False


@dataclasses.dataclass(frozen=True)
class _Origin:
    """A checkpoint under the network's names; `classes` are those it names itself."""

    state: dict[str, torch.Tensor]
    classes: tuple[str, ...]
    origin: str
    options: Mapping[str, bool]
    trained_with: dict[str, Any] | None = None
    missing: tuple[str, ...] = ()
    order_assumed: bool = False


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
    width = max(len(classes), 1)  # of unlabelled images: there must be an output, though it means nothing
    _check_buildable(name, model)
    if model.weights == "random":
        options = source_of(model.architecture).options(model.architecture)
        network = _drawn(model, width, seed, options)
        return Start(network, classes, f"drawn at random from seed {seed}", options=options)
    bare = on_shapes_alone(model.architecture, 1, model.preprocess.crop)
    head, own = head_name(bare), bare.state_dict()
    found = _origin(name, model, own, Path(models_dir))
    tell_if_other(name, model.preprocess, found.trained_with, found.origin)
    found = _in_order_of(classes, found, head, name)
    trained_on = _width(found.state, head)
    outputs = width if model.train or trained_on is None else trained_on
    taken = dict(found.state)
    if model.train and (trained_on != outputs or not model.weights_are_a_file):
        taken = {key: value for key, value in taken.items() if not key.startswith(f"{head}.")}
    _check_names_and_shapes(name, model, taken, own, head, found.origin)
    network = _drawn(model, outputs, seed, found.options)
    load_weights(network, taken, strict=False)
    # checkpoints from before torch 0.4.1 have no batch counters, which nothing is computed from
    missing = tuple(k for k in own if k not in taken and not k.endswith("num_batches_tracked"))
    start = Start(network, classes, found.origin, missing, found.options, found.trained_with)
    if model.train:
        missing = tuple(key for key in missing if not key.startswith(f"{head}."))
        return dataclasses.replace(start, missing=missing)
    named = found.classes if len(found.classes) == outputs else ()
    assumed = found.order_assumed or (not named and trained_on == len(classes))
    return dataclasses.replace(
        start,
        classes=named or (classes if assumed or trained_on is None else ()),
        missing=tuple(sorted({*missing, *found.missing})),
        order_assumed=assumed,
    )


def store_start(name: str, model: Model, start: Start, model_dir: Path | str) -> ModelCard:
    """Write weights that are used as they are; warns of what a partial checkpoint lacks."""
    if start.missing:
        total = len(start.network.state_dict())
        shown = _first(start.missing)
        _log.warning(
            f"model {name}: {start.origin} lacks {len(start.missing)} of the {total} weights of a "
            f"{model.architecture} ({shown}); layers computed from them are refused"
        )
    state = {key: value for key, value in start.network.state_dict().items() if key not in start.missing}
    if start.order_assumed:
        _log.warning(
            f"model {name}: {start.origin} names no classes; order assumed: its outputs are taken to be "
            f"the data set's {len(start.classes)} in their order ({_first(start.classes)})"
        )
    return write_model(model_dir, state, card_of(model, start))


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")


def card_of(model: Model, start: Start) -> ModelCard:
    """The card of a model that is made from `start`, but for the digest of its weights."""
    return ModelCard(
        architecture=model.architecture,
        outputs=num_outputs(start.network),
        crop=model.preprocess.crop,
        classes=start.classes,
        weights_sha256="",
        origin=start.origin,
        missing=() if model.train else start.missing,
        recipe=recipe_of(model),
        options=dict(start.options),
        preprocess=as_plain(model.preprocess),
        trained_with=start.trained_with,
        order_assumed=start.order_assumed,
    )


def write_model(model_dir: Path | str, state: Mapping[str, torch.Tensor], card: ModelCard) -> ModelCard:
    """Write a model's folder; gives `card` with the digest of the weights filled in.

    The card comes last: a folder without one is not a model.
    """
    model_dir = Path(model_dir)
    (model_dir / CARD_FILE).unlink(missing_ok=True)
    with atomic_write(model_dir / WEIGHTS_FILE) as temporary:
        save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, temporary)
        sha256 = sha256_of_file(temporary)
    card = dataclasses.replace(card, weights_sha256=sha256)
    write_card(model_dir, card)
    return card


def _check_buildable(name: str, model: Model) -> None:
    try:
        check_buildable(model.architecture, model.preprocess.crop)
    except UserError as error:
        raise UserError(f"model {name}: {error}") from None


def _drawn(model: Model, outputs: int, seed: int, options: Mapping[str, bool]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(model.architecture, outputs, model.preprocess.crop, options)


def _width(state: Mapping[str, torch.Tensor], head: str) -> int | None:
    weight = state.get(f"{head}.weight")
    return None if weight is None or weight.ndim == 0 else weight.shape[0]


def _in_order_of(classes: tuple[str, ...], found: _Origin, head: str, name: str) -> _Origin:
    """The outputs brought into the data set's order, where the checkpoint has its classes in another one."""
    if found.classes == classes or sorted(found.classes) != sorted(classes):
        return found
    order = [found.classes.index(each) for each in classes]
    state = dict(found.state)
    for key in (f"{head}.weight", f"{head}.bias"):
        if key in state and state[key].shape[:1] == (len(order),):
            state[key] = state[key][order]
    told = "outputs put in the data set's order of the classes"
    _log.warning("model %s: %s has the classes in another order; %s", name, found.origin, told)
    return dataclasses.replace(found, state=state, classes=classes, origin=f"{found.origin}, {told}")


def _origin(name: str, model: Model, own: Mapping[str, torch.Tensor], models_dir: Path) -> _Origin:
    if model.weights == "imagenet":
        return _published(name, model.architecture, model.weights)
    if model.weights_are_a_file:
        return _file(name, model, own, models_dir / model.weights)
    folder = models_dir / model.weights
    card = read_card(folder)
    if card.architecture != model.architecture:
        raise UserError(
            f"models.{name}.weights: {model.weights} is a {card.architecture}, not a {model.architecture}; "
            "start from a model of the same architecture"
        )
    return _Origin(
        read_own_weights(folder, card),
        card.classes,
        f"model {model.weights}",
        options=card.options,
        trained_with=card.preprocess if card.recipe else card.trained_with,
        missing=card.missing,
        order_assumed=card.order_assumed,
    )


def _file(name: str, model: Model, own: Mapping[str, torch.Tensor], path: Path) -> _Origin:
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
    checkpoint = read_checkpoint(path, name)
    state, prefix, others = own_part(checkpoint.state, own)
    origin = f"file {model.weights}, sha256 {found}"
    if others:
        raise UserError(
            f"model {name}: {origin} holds several networks, under {', '.join([prefix, *others])}; "
            "save the state dict of the one that is meant"
        )
    if prefix:
        left_out = len(checkpoint.state) - len(state)
        _log.warning(
            f"model {name}: {origin}: taken what stands under {prefix}"
            + (f", {left_out} other arrays left out" if left_out else "")
        )
        origin += f", under {prefix}"
    state = source.own_names(model.architecture, state)
    return _Origin(state, checkpoint.classes, origin, source.options(model.architecture, found))


def _published(name: str, architecture: str, tag: str) -> _Origin:
    source = source_of(architecture)
    try:
        weights = source.weights(architecture, tag)
    except UserError as error:
        raise UserError(f"model {name}: {error}") from None
    sha256 = sha256_of_file(weights.path)
    return _Origin(
        source.own_names(architecture, read_checkpoint(weights.path, name).state),
        weights.classes,
        f"{weights.origin}, sha256 {sha256}",
        options=source.options(architecture, sha256),
        trained_with=source.preprocessing(architecture, tag),
    )


def _check_names_and_shapes(
    name: str,
    model: Model,
    state: Mapping[str, torch.Tensor],
    own: Mapping[str, torch.Tensor],
    head: str,
    origin: str,
) -> None:
    """Refuse a state dict that is none of the network's; `own` has a head of width 1."""
    wanted = f"{model.architecture} at {model.preprocess.crop} px"
    for key, value in state.items():
        if key not in own:
            raise UserError(
                f"model {name}: {origin} is of another architecture: it has {key}, which a {wanted} has not"
            )
        free = key.startswith(f"{head}.")  # but for its width
        if (value.ndim, value.shape[free:]) != (own[key].ndim, own[key].shape[free:]):
            raise UserError(
                f"model {name}: {origin} is of another architecture: {key} is {tuple(value.shape)}, "
                f"{tuple(own[key].shape)} in a {wanted}"
            )
    if len({value.shape[0] for key, value in state.items() if key.startswith(f"{head}.")}) > 1:
        raise UserError(f"model {name}: {origin}: {head}.weight and {head}.bias are of different widths")
    if not any(key in state for key in own):
        raise UserError(f"model {name}: {origin} has none of the weights of a {wanted}")
