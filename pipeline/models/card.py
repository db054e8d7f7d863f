"""The card of a model: what its weights are and where they come from. Knows no torch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from ..errors import UserError
from ..files.json_file import write_json
from ..params import Model, Preprocess, Train

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "model.json"


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What stands beside the weights of a model.

    Attributes
    ----------
    architecture : str
        A name that a model source knows.
    outputs : int
        Width of the last layer.
    crop : int
        Side in pixels of the square image that the network was built for.
    classes : tuple of str
        Names of the outputs; empty where the checkpoint does not say.
    weights_sha256 : str
        Of the safetensors file beside the card.
    origin : str
        Where the weights come from, in words.
    missing : tuple of str
        Names in the architecture's state dict that the checkpoint does not have.
    recipe : dict or None
        The training's parameters but the device; None for weights that were taken as they are.
    options : dict
        What the network is built with beside its name; decides values, and is part of the feature key.
    preprocess : dict or None
        Of the images that it is given here; None in a card that is older than this field.
    trained_with : dict or None
        What the weights were trained with; None where nobody says.
    order_assumed : bool
        The checkpoint names no classes: its outputs are taken to be in the data set's order.
    """

    architecture: str
    outputs: int
    crop: int
    classes: tuple[str, ...]
    weights_sha256: str
    origin: str
    missing: tuple[str, ...] = ()
    recipe: dict[str, Any] | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    preprocess: dict[str, Any] | None = None
    trained_with: dict[str, Any] | None = None
    order_assumed: bool = False


def write_card(model_dir: Path | str, card: ModelCard) -> None:
    """Write `card` into a model's folder, whole or not at all; the same bytes for the same card."""
    write_json(Path(model_dir) / CARD_FILE, dataclasses.asdict(card))


def read_card(model_dir: Path | str) -> ModelCard:
    """Read the card in a model's folder.

    Raises
    ------
    UserError
        If there is none, or it is not a card of this version.
    """
    path = Path(model_dir) / CARD_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelCard)
    except FileNotFoundError:
        raise UserError(f"{path}: no such model", rerun=f"model@{path.parent.name}") from None
    except msgspec.MsgspecError:
        raise UserError(f"{path}: not a model card", rerun=f"model@{path.parent.name}", force=True) from None


def settled_by(card: ModelCard, model: Model) -> Model:
    """A section of params.yaml with its `preprocess: auto` written out, as the made model's card has it."""
    if isinstance(model.preprocess, Preprocess):
        return model
    if card.preprocess is None:
        raise UserError("the model was made before preprocess: auto was known", rerun="model", force=True)
    return msgspec.structs.replace(model, preprocess=msgspec.convert(card.preprocess, Preprocess))


def as_plain(section: Preprocess | Train) -> dict[str, Any]:
    """As plain JSON values."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(section))
    return plain


def recipe_of(model: Model) -> dict[str, Any] | None:
    """The training recipe without the device, which decides nothing."""
    if model.train is None:
        return None
    return {key: value for key, value in as_plain(model.train).items() if key != "device"}
