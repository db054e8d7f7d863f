"""Where a model's weights come from: drawn, published by its source, another model, a file."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from ..errors import UserError
from ..files.atomic import atomic_write
from ..files.digests import sha256_of_file
from ..files.hints import counted, some_of
from ..params import ORIGINS, Model
from .card import CARD_FILE, WEIGHTS_FILE, ModelCard, as_plain, read_card, recipe_of, write_card
from .checkpoint_file import read_checkpoint
from .checkpoint_network import find_network
from .network import (
    build_network,
    check_buildable,
    head_names,
    load_weights,
    num_outputs,
    on_shapes_alone,
    options_of,
    read_own_weights,
)
from .preprocessing import tell_if_other
from .sources import source_of

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Start:
    """A network with the weights that a recipe starts from, and the card of what is made from it.

    The card has no digest yet. Weights that the checkpoint did not have are drawn at random.
    """

    network: nn.Module
    card: ModelCard


def start_network(
    name: str, model: Model, classes: tuple[str, ...], models_dir: Path | str, root: Path = Path()
) -> Start:
    """The network of `models.<name>` before any training.

    Without a recipe the weights are taken whole, the head with them. With one the network gets an output
    for each of `classes`, and a head that was made for another task is drawn afresh: always that of
    ImageNet and of another model, that of a file where its width differs.

    Parameters
    ----------
    name, model : str, Model
        The key in params.yaml, for messages, and its section, the preprocessing settled.
    classes : tuple of str
        Of the data set.
    models_dir : path
        Where other models' folders and the user's files are.
    root : Path
        The project's folder.

    Raises
    ------
    UserError
        If the weights are not to be had, are not what their hash says, or are of another architecture.
    """
    seed = model.train.seed if model.train else 0
    width = max(len(classes), 1)  # of unlabelled images: there must be an output, though it means nothing
    _check_buildable(name, model, root)
    options = options_of(model.architecture, model.arguments, root)
    bare = on_shapes_alone(model.architecture, 1, model.transform.crop, options, root)
    heads, own = head_names(bare), bare.state_dict()
    if model.train and not heads:
        raise UserError(
            f"models.{name}.train: {model.architecture} has no classifier to train; write train: null, and a "
            "probe on its features"
        )
    if model.weights == "random":
        network = _drawn(model, width, seed, options, root)
        card = _card(model, classes if heads else (), f"drawn at random from seed {seed}", options)
        return Start(network, dataclasses.replace(card, outputs=num_outputs(network)))
    prefixes_of_heads = _heads(bare)
    state, card = _origin(name, model, bare, Path(models_dir), root)
    tell_if_other(name, model.transform, card.trained_with, card.origin)
    trained_on = _width(state, heads)
    _check_outputs(name, model, trained_on, card.origin)
    if model.train and (trained_on != width or not model.weights_are_a_file):
        state = {key: value for key, value in state.items() if not key.startswith(prefixes_of_heads)}
    _check_names_and_shapes(name, model, state, own, prefixes_of_heads, card.origin)
    if heads and _width(state, heads) == len(classes):
        card = _bring_into_order(name, classes, state, prefixes_of_heads, card)
    outputs = (width if model.train or trained_on is None else trained_on) if heads else 0
    network = _drawn(model, outputs, seed, card.options, root)
    load_weights(network, state, strict=False)
    card = dataclasses.replace(card, outputs=outputs)
    if model.train:
        return Start(network, dataclasses.replace(card, classes=classes, missing=(), order_assumed=False))
    # checkpoints from before torch 0.4.1 have no batch counters, which nothing is computed from
    missing = {key for key in own if key not in state and not key.endswith("num_batches_tracked")}
    card = dataclasses.replace(card, missing=tuple(sorted(missing.union(card.missing))))
    return Start(network, _with_names_of_outputs(card, classes, trained_on) if heads else card)


def _with_names_of_outputs(card: ModelCard, classes: tuple[str, ...], trained_on: int | None) -> ModelCard:
    """The card of weights that are used as they are; their head has `trained_on` outputs, or was drawn."""
    named = card.classes if len(card.classes) == card.outputs else ()
    assumed = card.order_assumed or (not named and trained_on == len(classes))
    named = named or (classes if assumed or trained_on is None else ())
    return dataclasses.replace(card, classes=named, order_assumed=assumed)


def checkpoint_problems(
    name: str, model: Model, models_dir: Path | str, root: Path = Path()
) -> Iterator[str]:
    """What is wrong with the file of `models.<name>.weights`, as `start_network` says it: a line, or none.

    None for weights that are no file, or one that is not there. The model's preprocessing is settled.
    """
    path = Path(models_dir) / model.weights
    if not model.weights_are_a_file or not path.is_file():
        return
    try:
        _check_buildable(name, model, root)
        options = options_of(model.architecture, model.arguments, root)
        bare = on_shapes_alone(model.architecture, 1, model.transform.crop, options, root)
        state, card = _file(name, model, bare, path, root)
        _check_names_and_shapes(name, model, state, bare.state_dict(), _heads(bare), card.origin)
        _check_outputs(name, model, _width(state, head_names(bare)), card.origin)
    except UserError as error:
        yield str(error)


def store_start(name: str, start: Start, model_dir: Path | str) -> ModelCard:
    """Write weights that are used as they are; warns of what a partial checkpoint lacks."""
    card, state = start.card, start.network.state_dict()
    if card.missing:
        _log.warning(
            f"model {name}: {card.origin} lacks {len(card.missing)} of the {len(state)} weights of a "
            f"{card.architecture} ({some_of(card.missing, 4)}); layers computed from them are refused"
        )
    if card.order_assumed:
        _log.warning(
            f"model {name}: {card.origin} names no classes; order assumed: its outputs are taken to be "
            f"the data set's {len(card.classes)} in their order ({some_of(card.classes, 4)})"
        )
    return write_model(
        model_dir, {key: value for key, value in state.items() if key not in card.missing}, card
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


def _check_buildable(name: str, model: Model, root: Path) -> None:
    try:
        options = options_of(model.architecture, model.arguments, root)
        check_buildable(model.architecture, model.transform.crop, options, root)
    except UserError as error:
        raise UserError(f"model {name}: {error}", rerun=error.rerun) from None


def _drawn(model: Model, outputs: int, seed: int, options: Mapping[str, Any], root: Path) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(model.architecture, outputs, model.transform.crop, options, root)


def _width(state: Mapping[str, torch.Tensor], heads: tuple[str, ...]) -> int | None:
    weight = state.get(f"{heads[0]}.weight") if heads else None
    return None if weight is None or weight.ndim == 0 else weight.shape[0]


def _bring_into_order(
    name: str,
    classes: tuple[str, ...],
    state: dict[str, torch.Tensor],
    heads: tuple[str, ...],
    card: ModelCard,
) -> ModelCard:
    """Put outputs that the checkpoint has in another order into the data set's, in `state` itself."""
    if card.classes == classes or sorted(card.classes) != sorted(classes):
        return card
    order = [card.classes.index(each) for each in classes]
    state.update({key: value[order] for key, value in state.items() if key.startswith(heads)})
    told = "outputs put in the data set's order of the classes"
    _log.warning("model %s: %s has the classes in another order; %s", name, card.origin, told)
    return dataclasses.replace(card, classes=classes, origin=f"{card.origin}, {told}")


def _card(
    model: Model,
    classes: tuple[str, ...],
    origin: str,
    options: dict[str, Any],
    trained_with: dict[str, Any] | None = None,
) -> ModelCard:
    """What is known of weights from where they come."""
    return ModelCard(
        architecture=model.architecture,
        outputs=0,
        crop=model.transform.crop,
        classes=classes,
        weights_sha256="",
        origin=origin,
        recipe=recipe_of(model),
        options=options,
        preprocess=as_plain(model.transform),
        trained_with=trained_with,
    )


def _origin(
    name: str, model: Model, bare: nn.Module, models_dir: Path, root: Path
) -> tuple[dict[str, torch.Tensor], ModelCard]:
    """A state dict under the network's names; the card's classes are those that the checkpoint names."""
    if model.weights in ORIGINS:
        return _published(name, model, bare, root)
    if model.weights_are_a_file:
        return _file(name, model, bare, models_dir / model.weights, root)
    folder = models_dir / model.weights
    found = read_card(folder)
    if found.architecture != model.architecture:
        raise UserError(
            f"models.{name}.weights: {model.weights} is a {found.architecture}, not a {model.architecture}; "
            "start from a model of the same architecture"
        )
    trained_with = found.preprocess if found.recipe else found.trained_with
    card = _card(model, found.classes, f"model {model.weights}", found.options, trained_with)
    card = dataclasses.replace(card, missing=found.missing, order_assumed=found.order_assumed)
    return read_own_weights(folder, found), card


def _file(
    name: str, model: Model, bare: nn.Module, path: Path, root: Path
) -> tuple[dict[str, torch.Tensor], ModelCard]:
    try:
        found = sha256_of_file(path)
    except FileNotFoundError:
        raise UserError(f"model {name}: {path}: no such file; put or link the checkpoint there") from None
    if found != model.sha256:
        raise UserError(
            f"models.{name}.sha256: {path} has {found}, not {model.sha256}; fetch the file again or, "
            "if you trust it, write its sha256 there"
        )
    source = source_of(model.architecture, root)
    checkpoint = read_checkpoint(path, name)
    origin = f"file {model.weights}, sha256 {found}"
    try:
        network = find_network(
            checkpoint.states,
            bare.state_dict(),
            _heads(bare),
            lambda state: source.own_names(model.architecture, state, bare),
        )
    except UserError as error:
        raise UserError(f"model {name}: {origin} {error}") from None
    if told := str(network):
        _log.warning(f"model {name}: {origin}: {told}")
    if network.where:
        origin += f", under {network.where}"
    options = options_of(model.architecture, model.arguments, root, found)
    return network.state, _card(model, _named(name, model, checkpoint.classes, origin), origin, options)


def _published(
    name: str, model: Model, bare: nn.Module, root: Path
) -> tuple[dict[str, torch.Tensor], ModelCard]:
    source, architecture = source_of(model.architecture, root), model.architecture
    try:
        weights = source.weights(architecture, model.weights)
    except UserError as error:
        raise UserError(f"model {name}: {error}") from None
    sha256 = sha256_of_file(weights.path)
    origin = f"{weights.origin}, sha256 {sha256}"
    card = _card(
        model,
        _named(name, model, weights.classes, origin),
        origin,
        options_of(architecture, model.arguments, root, sha256),
        source.preprocessing(architecture, model.weights),
    )
    return source.own_names(architecture, read_checkpoint(weights.path, name).state, bare), card


def _named(name: str, model: Model, found: tuple[str, ...], origin: str) -> tuple[str, ...]:
    """The names of a checkpoint's outputs: those that it has, or those that params.yaml gives."""
    if model.classes and found and model.classes != found:
        pairs = itertools.zip_longest(found, model.classes)
        i, (own, given) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
        raise UserError(
            f"models.{name}.classes: {origin} names its outputs itself, and otherwise: output {i} is "
            f"{own or 'none'}, not {given or 'none'}; leave classes out"
        )
    return model.classes or found


def _check_outputs(name: str, model: Model, outputs: int | None, origin: str) -> None:
    if model.classes and len(model.classes) != outputs:
        there = counted(outputs, "output") if outputs else "no outputs"
        raise UserError(
            f"models.{name}.classes: {counted(len(model.classes), 'name')}, but {origin} has {there}; "
            "name each output, in order"
        )


def _heads(network: nn.Module) -> tuple[str, ...]:
    """What the names of its heads' weights begin with."""
    return tuple(f"{head}." for head in head_names(network))


def _check_names_and_shapes(
    name: str,
    model: Model,
    state: Mapping[str, torch.Tensor],
    own: Mapping[str, torch.Tensor],
    heads: tuple[str, ...],
    origin: str,
) -> None:
    """Refuse a state dict that is none of the network's; `own` has a head of width 1."""
    wanted = f"{model.architecture} at {model.transform.crop} px"
    for key, value in state.items():
        if key not in own:
            raise UserError(
                f"model {name}: {origin} is of another architecture: it has {key}, which a {wanted} has not"
            )
        free = key.startswith(heads)  # but for its width
        if (value.ndim, value.shape[free:]) != (own[key].ndim, own[key].shape[free:]):
            raise UserError(
                f"model {name}: {origin} is of another architecture: {key} is {tuple(value.shape)}, "
                f"{tuple(own[key].shape)} in a {wanted}"
            )
    if len({value.shape[0] for key, value in state.items() if key.startswith(heads)}) > 1:
        told = " and ".join(key for key in state if key.startswith(heads))
        raise UserError(f"model {name}: {origin}: {told} are of different widths")
    if not any(key in state for key in own):
        raise UserError(f"model {name}: {origin} has none of the weights of a {wanted}")
