"""Networks by name, and a model's folder read back."""

from __future__ import annotations

import collections
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import nn

from ..errors import UserError
from ..files.digests import sha256_of_file
from .card import WEIGHTS_FILE, ModelCard, read_card
from .sources import source_of

Options = Mapping[str, Any]
_USUAL_CROPS = (224, 256, 384, 448, 518, 1024)
_HEADS = "head_names"  # the attribute that keeps what the source says


def options_of(
    architecture: str, arguments: Options, root: Path = Path(), sha256: str | None = None
) -> dict[str, Any]:
    """What a network is built with beside its name: the source's options, and `models.<name>.arguments`.

    Parameters
    ----------
    sha256 : str, optional
        Of the checkpoint; by default the options are those of drawn weights.
    """
    options = source_of(architecture, root).options(architecture, sha256)
    further = {name: value for name, value in arguments.items() if name not in options}
    known = {name: arguments.get(name, value) for name, value in options.items()}
    # apart, so that they are not taken for parts of the preprocessing beside which they stand in a key
    return known | ({"arguments": further} if further else {})


def check_buildable(
    architecture: str, crop: int, options: Options | None = None, root: Path = Path()
) -> None:
    """Refuse a name that no source knows, and a crop that the network cannot take.

    Raises
    ------
    UserError
        Names the nearest architectures, or a larger crop that works, or what the network said.
    """
    source_of(architecture, root)
    problem = _refusal(architecture, crop, json.dumps(options), root)
    if not problem:
        return
    arguments = (options or {}).get("arguments")
    told = f" with arguments {arguments}" if arguments else ""
    refused = f"architecture {architecture}{told}: cannot take images of {crop} px (preprocess.crop)"
    if not any(takes_crop(architecture, c, options, root) for c in _USUAL_CROPS if c > crop):
        raise UserError(f"{refused}: {problem}")
    sizes = sorted({*range(14, 1025, 14), *range(16, 1025, 16)})  # of patches; each is built to try it
    larger = next(c for c in sizes if c > crop and takes_crop(architecture, c, options, root))
    raise UserError(f"{refused}; a larger size that works is {larger} px")


def build_network(
    architecture: str,
    num_outputs: int,
    crop: int = 224,
    options: Options | None = None,
    root: Path = Path(),
) -> nn.Module:
    """A network with random weights from torch's global generator, in training mode.

    Parameters
    ----------
    architecture : str
        A name that a source knows.
    num_outputs : int
        Width of the last layer.
    crop : int
        Side in pixels of the images it will see.
    options : mapping, optional
        As `options_of`; by default those of drawn weights.
    root : Path
        The project's folder.

    Raises
    ------
    UserError
        As `check_buildable`.
    """
    check_buildable(architecture, crop, options, root)
    return _construct(architecture, num_outputs, crop, options, root)


def takes_crop(architecture: str, crop: int, options: Options | None = None, root: Path = Path()) -> bool:
    """Whether a square image of `crop` pixels goes through; tried on shapes alone, nothing is computed."""
    try:
        return not _refusal(architecture, crop, json.dumps(options), root)
    except UserError:  # the user's own network may say itself that it does not
        return False


@functools.cache
def _refusal(architecture: str, crop: int, options: str, root: Path) -> str:
    """What a network says to two images of `crop` pixels; nothing where they go through."""
    try:
        network = on_shapes_alone(architecture, 10, crop, json.loads(options), root)
        network(torch.empty(2, 3, crop, crop, device="meta"))
    except UserError:
        raise
    except Exception as error:  # a network may be the user's own, with any mistake in it
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def on_shapes_alone(
    architecture: str,
    num_outputs: int,
    crop: int,
    options: Options | None = None,
    root: Path = Path(),
) -> nn.Module:
    """The network in eval mode on the meta device: its graph and its shapes, without memory for weights."""
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return _construct(architecture, num_outputs, crop, options, root).eval()
        except (NotImplementedError, RuntimeError):
            # RegNet, Swin and others compute their own plan with tensors, which have no values there
            return _construct(architecture, num_outputs, crop, options, root).eval().to("meta")


def _construct(
    architecture: str, num_outputs: int, crop: int, options: Options | None, root: Path
) -> nn.Module:
    source = source_of(architecture, root)
    told = dict(source.options(architecture) if options is None else options)
    arguments = told.pop("arguments", {})
    try:
        network = source.build(architecture, num_outputs, crop, **told | arguments)
    except TypeError as error:
        if not arguments:
            raise
        raise UserError(f"architecture {architecture}: arguments {arguments}: {error}") from None
    setattr(network, _HEADS, source.heads(architecture, network))
    return network


def head_names(network: nn.Module) -> tuple[str, ...]:
    """Names of a built network's classifiers, that of its logits first; none where it gives no logits."""
    names: tuple[str, ...] = getattr(network, _HEADS)
    return names


def num_outputs(network: nn.Module) -> int:
    """Width of a built network's logits; 0 where it gives none."""
    heads = head_names(network)
    return len(network.get_parameter(f"{heads[0]}.weight")) if heads else 0


def load_network(model_dir: Path | str, root: Path = Path()) -> nn.Module:
    """The network of a model's folder (`data/models/<name>`) with its weights, in eval mode on the CPU.

    `root` is the project's folder.

    Weights that the card calls missing are NaN, so that nothing computed from them can pass for a value.

    Raises
    ------
    UserError
        If the folder holds no model, or the weights are not the ones that the card names.
    """
    model_dir = Path(model_dir)
    card = read_card(model_dir)
    weights = read_own_weights(model_dir, card)
    # on shapes alone, so that no weights are drawn only to be replaced
    network = on_shapes_alone(card.architecture, card.outputs, card.crop, card.options, root)
    state = network.state_dict()
    for name in card.missing:
        weights[name] = torch.full_like(state[name], float("nan"), device="cpu")
    try:
        load_weights(network, weights, assign=True)
    except RuntimeError:
        raise _unlike_card(model_dir, f"not the weights of a {card.architecture}") from None
    if any(value.is_meta for value in network.buffers()):  # values that no state dict has
        with torch.random.fork_rng(devices=[]):
            network = build_network(card.architecture, card.outputs, card.crop, card.options, root)
        load_weights(network, weights)
    return network.eval()


def load_weights(network: nn.Module, weights: Mapping[str, torch.Tensor], **options: bool) -> None:
    """As `network.load_state_dict`, for weights from a file that keeps none of a state dict's metadata."""
    state = collections.OrderedDict(weights)
    state._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]  # MNASNet needs its version
    network.load_state_dict(state, **options)


def read_own_weights(model_dir: Path, card: ModelCard) -> dict[str, torch.Tensor]:
    """The state dict of a model's folder, checked against its card's sha256."""
    path = model_dir / WEIGHTS_FILE
    try:
        found = sha256_of_file(path)
        if found != card.weights_sha256:
            raise _unlike_card(model_dir, f"sha256 {found[:9]}…, its card says {card.weights_sha256[:9]}…")
        # copied, since a mapped file must not be written to by a training
        return {name: value.clone() for name, value in load_file(path).items()}
    except FileNotFoundError:
        raise _unlike_card(model_dir, "no such file") from None
    except safetensors.SafetensorError as error:
        raise _unlike_card(model_dir, f"not a safetensors file ({error})") from None


def _unlike_card(model_dir: Path, problem: str) -> UserError:
    return UserError(f"{model_dir / WEIGHTS_FILE}: {problem}", rerun=f"model@{model_dir.name}", force=True)
