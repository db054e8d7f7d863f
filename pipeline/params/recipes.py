"""What decides a stage's outputs, beside its input files: its recipe version and some parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ..errors import UserError
from .sections import Columns, Compare, LabelIssues, Maps, Outliers, Params

# how the work is done, and where the images lie: decides no value, so that a change of it reruns nothing
HOW = (
    "dataset.root",
    "dataset.listing",
    "extract.device",
    "extract.batch_size",
    "extract.workers",
    "extract.memory_gb",
    "extract.cache",
    "extract.read_also",
    "extract.runner",
    "extract.mixed",
    "models.*.train.device",
)

# settings that came later: left out where they have their defaults, so that an upgrade reruns nothing
_LATER: dict[str, Any] = {
    "models.*.classes": (),
    "models.*.arguments": {},
    "models.*.preprocess.mode": "crop",
    "models.*.preprocess.fill": (0, 0, 0),
    "dataset.files": None,
    "dataset.columns": msgspec.to_builtins(Columns()),
    "dataset.lists": {},
    "dataset.include": (),
    "dataset.exclude": (),
    "dataset.classes": (),
    "dataset.objects": False,
    "dataset.margin": 0.1,
    "dataset.listing": False,
    "extract.decoder": "pillow",
    "index.engine": "faiss",
    "tsne.keep": False,
    "compare.of": [],
    "outliers.of": [],
    "doubting": [],
    "maps": msgspec.to_builtins(Maps()),
    "compare": msgspec.to_builtins(Compare()),
    "outliers": msgspec.to_builtins(Outliers()),
    "label_issues": msgspec.to_builtins(LabelIssues()),
    "derive": {},
}


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of recipes.yaml.

    Attributes
    ----------
    version : int
        Raised when the same inputs and parameters would give other values.
    params : tuple of str
        Dotted keys of params.yaml; `models.*.layers` is of the one model that the stage is about, and
        `trained_on` stands for the splits that models name, `doubting` for the layers of the probes that
        `label_issues` names.
    """

    version: int
    params: tuple[str, ...]

    @property
    def has_items(self) -> bool:
        """Whether the stage is run once for each model."""
        return any("*" in key for key in self.params)


def read_recipes(path: Path | str) -> dict[str, Recipe]:
    """The recipe of every stage; `UserError` where the file is missing or is none."""
    try:
        return msgspec.yaml.decode(Path(path).read_bytes(), type=dict[str, Recipe])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `pool5 init` writes it beside dvc.yaml") from None
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UserError(f"{path}: {error}; `pool5 init` writes it again") from None


def deciding_values(params: Params, recipe: Recipe, item: str | None = None) -> dict[str, Any]:
    """{key: value} of all parameters that the recipe names, defaults filled in, as plain JSON values."""
    found = {"trained_on": params.trained_on, "doubting": params.doubting}
    plain = without_how(params) | found
    # the stage that looks for the images is decided by where they lie
    whole = msgspec.to_builtins(params) | found
    apart = {*HOW, *_LATER}
    values = {key: _value(whole if key in apart else plain, key.split("."), item) for key in recipe.params}
    return {key: value for key, value in values.items() if key not in _LATER or value != _LATER[key]}


def without_how(params: Params) -> dict[str, Any]:
    """The sections without `HOW`, defaults filled in, as plain JSON values."""
    plain: dict[str, Any] = msgspec.to_builtins(params)
    for how in HOW:
        _remove(plain, how.split("."))
    for later, default in _LATER.items():
        if later.startswith(("dataset.", "extract.", "index.", "tsne.")) or later.count(".") > 2:
            _remove(plain, later.split("."), default)
    return plain


def _value(plain: dict[str, Any], steps: list[str], item: str | None) -> Any:
    value: Any = plain
    for step in steps:
        value = value[item if step == "*" else step]
    return value


def _remove(plain: Any, steps: list[str], value: Any = ...) -> None:
    """Remove what is there, or only `value`."""
    first, *rest = steps
    if not isinstance(plain, dict):
        return
    if not rest:
        if value is ... or plain.get(first) == value:
            plain.pop(first, None)
        return
    for name in plain if first == "*" else [first]:
        _remove(plain[name], rest, value)
