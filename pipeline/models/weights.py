"""Where a model's weights come from: drawn, torchvision's ImageNet weights, another model, a file."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import re
import socket
import sys
import urllib.error
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from ..errors import UserError
from ..files.atomic import atomic_write
from ..params import Model
from .card import CARD_FILE, WEIGHTS_FILE, ModelCard, read_card, write_card
from .network import (
    build_network,
    check_buildable,
    head_name,
    load_weights,
    num_outputs,
    on_shapes_alone,
    read_own_weights,
)

_CONNECT_SECONDS = 30


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
class _Source:
    state: dict[str, torch.Tensor]
    classes: tuple[str, ...]
    origin: str
    missing: tuple[str, ...] = ()


def start_network(
    name: str, model: Model, classes: tuple[str, ...], models_dir: Path | str = "data/models"
) -> Start:
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
    if model.weights == "random":
        network = _drawn(name, model, len(classes), seed)
        return Start(network, classes, f"drawn at random from seed {seed}")
    _check_buildable(name, model)
    source = _source(name, model, classes, Path(models_dir))
    head = _head_of(model)
    trained_on = _width(source.state, head)
    outputs = len(classes) if model.train or trained_on is None else trained_on
    network = _drawn(name, model, outputs, seed)
    taken = dict(source.state)
    if model.train and (trained_on != outputs or not model.weights_are_a_file):
        taken = {key: value for key, value in taken.items() if not key.startswith(f"{head}.")}
    missing = _load(name, network, taken, f"{model.architecture} at {crop} px", source.origin)
    if model.train:
        missing = tuple(key for key in missing if not key.startswith(f"{head}."))
        return Start(network, classes, source.origin, missing)
    return Start(network, source.classes, source.origin, tuple(sorted({*missing, *source.missing})))


def store_start(name: str, model: Model, start: Start, model_dir: Path | str) -> ModelCard:
    """Write weights that are used as they are; says on stderr what a partial checkpoint lacks."""
    if start.missing:
        total = len(start.network.state_dict())
        shown = ", ".join(start.missing[:4]) + (", …" if len(start.missing) > 4 else "")
        print(
            f"pool5: model {name}: {start.origin} lacks {len(start.missing)} of the {total} weights of a "
            f"{model.architecture} ({shown}); layers computed from them are refused",
            file=sys.stderr,
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
    recipe: dict | None = None,
) -> ModelCard:
    """Write a model's folder. The card comes last: a folder without one is not a model."""
    model_dir = Path(model_dir)
    (model_dir / CARD_FILE).unlink(missing_ok=True)
    with atomic_write(model_dir / WEIGHTS_FILE) as temporary:
        save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, temporary)
        with temporary.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    card = ModelCard(architecture, outputs, crop, classes, sha256, origin, missing, recipe)
    write_card(model_dir, card)
    return card


def read_checkpoint(path: Path, name: str) -> dict[str, torch.Tensor]:
    """The state dict in a .safetensors or a torch file; a pickle can give tensors and run nothing.

    Raises
    ------
    UserError
        If the file is not there, is damaged, holds code, or holds no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"model {name}: {path}: no such file; put or link the checkpoint there") from None
    except safetensors.SafetensorError as error:
        raise UserError(f"model {name}: {path}: not a safetensors file ({error}); fetch it again") from None
    except pickle.UnpicklingError as error:
        if blocked := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise UserError(
                f"model {name}: {path}: refused, because reading it would run code ({blocked[1]}); "
                "save the state dict alone, best as safetensors"
            ) from None
        raise UserError(f"model {name}: {path}: not a torch checkpoint; fetch or save it again") from None
    except (RuntimeError, EOFError, ValueError, KeyError):
        raise UserError(f"model {name}: {path}: a damaged torch checkpoint; fetch or save it again") from None
    for key in ("state_dict", "model", "model_state_dict"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise UserError(
            f"model {name}: {path}: holds no state dict; save network.state_dict() and nothing else"
        )
    return {str(key).removeprefix("module."): value for key, value in found.items()}


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


def _source(name: str, model: Model, classes: tuple[str, ...], models_dir: Path) -> _Source:
    if model.weights == "imagenet":
        return _imagenet(name, model.architecture)
    if model.weights_are_a_file:
        return _file(name, model, classes, models_dir / model.weights)
    folder = models_dir / model.weights
    card = read_card(folder)
    if card.architecture != model.architecture:
        raise UserError(
            f"models.{name}.weights: {model.weights} is a {card.architecture}, not a {model.architecture}; "
            "start from a model of the same architecture"
        )
    return _Source(read_own_weights(folder, card), card.classes, f"model {model.weights}", card.missing)


def _file(name: str, model: Model, classes: tuple[str, ...], path: Path) -> _Source:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(f"model {name}: {path}: no such file; put or link the checkpoint there") from None
    if found != model.sha256:
        raise UserError(
            f"models.{name}.sha256: {path} has {found}, not {model.sha256}; fetch the file again or, "
            "if you trust it, write its sha256 there"
        )
    state = _modern_names(model.architecture, read_checkpoint(path, name))
    outputs = _width(state, _head_of(model))
    named = classes if outputs in (None, len(classes)) else ()
    return _Source(state, named, f"file {model.weights}, sha256 {found}")


def _imagenet(name: str, architecture: str) -> _Source:
    """Torchvision's first ImageNet weights, through its own cache, checked against the hash in their name."""
    if architecture == "caffenet":
        raise UserError(f"models.{name}.weights: there are no ImageNet weights of caffenet; alexnet has some")
    known = torchvision.models.get_model_weights(architecture)
    if not hasattr(known, "IMAGENET1K_V1"):
        raise UserError(
            f"models.{name}.weights: torchvision has no IMAGENET1K_V1 weights of {architecture}, only "
            f"{', '.join(known.__members__)}; fetch those and give the file and its sha256"
        )
    chosen = known.IMAGENET1K_V1
    file_name = chosen.url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / file_name
    prefix = Path(file_name).stem.rpartition("-")[2]
    if not path.exists():
        fetch(name, chosen.url, path, prefix)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(prefix):
        raise UserError(
            f"model {name}: {path} is damaged: sha256 {found[:9]}…, not {prefix}…; remove it and run again"
        )
    state = _modern_names(architecture, read_checkpoint(path, name))
    return _Source(state, tuple(chosen.meta["categories"]), f"torchvision {chosen}, sha256 {found}")


def fetch(name: str, url: str, path: Path, prefix: str) -> None:
    """Download `url` to `path`, whole or not at all; its sha256 must start with `prefix`.

    Raises
    ------
    UserError
        If the file is not to be had or is another one; says where to put it by hand.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_CONNECT_SECONDS)
    try:
        torch.hub.download_url_to_file(url, str(path), prefix, progress=sys.stderr.isatty())
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise UserError(
            f"model {name}: cannot fetch {url} ({getattr(error, 'reason', error)}); without a network put "
            f"that file at {path}, or set TORCH_HOME to a folder with hub/checkpoints/{path.name}"
        ) from None
    except RuntimeError as error:
        raise UserError(f"model {name}: {url}: {error}; the download was damaged, run again") from None
    finally:
        socket.setdefaulttimeout(before)


def _modern_names(architecture: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Checkpoints of torchvision's early days in today's names, without the side heads for training."""
    if architecture in ("googlenet", "inception_v3"):
        return {k: v for k, v in state.items() if not k.startswith(("aux1.", "aux2.", "AuxLogits."))}
    if architecture.startswith("densenet"):
        old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.")
        return {old.sub(r"\1\2.", key): value for key, value in state.items()}
    return state


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
