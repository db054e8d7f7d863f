"""params.yaml, read once into typed, checked objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from ..errors import UserError
from .messages import explain
from .references import ORIGINS, problems_of
from .sections import (
    Ap,
    Augment,
    Columns,
    Compare,
    Dataset,
    Derived,
    Device,
    Duplicates,
    Extract,
    Index,
    LabelIssues,
    Layer,
    LayerRef,
    Maps,
    Metric,
    Model,
    Neighbors,
    Outliers,
    Params,
    Precision,
    Preprocess,
    Probe,
    Protocol,
    Sample,
    Train,
    Tsne,
    split_reference,
)
from .words import problem_with_words

__all__ = [
    "ORIGINS",
    "Ap",
    "Augment",
    "Columns",
    "Compare",
    "Dataset",
    "Derived",
    "Device",
    "Duplicates",
    "Extract",
    "Index",
    "LabelIssues",
    "Layer",
    "LayerRef",
    "Maps",
    "Metric",
    "Model",
    "Neighbors",
    "Outliers",
    "Params",
    "Precision",
    "Preprocess",
    "Probe",
    "Protocol",
    "Sample",
    "Train",
    "Tsne",
    "load_params",
    "problem_with_words",
    "problems_of",
    "read_params",
    "split_reference",
]

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml: a query reads this file too


class _Loader(_SafeLoader):  # type: ignore[misc]
    """A safe loader that refuses a key that stands twice, as DVC does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value} stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read and check a params.yaml.

    Raises
    ------
    UserError
        One line that names the key and says what is allowed there.
    """
    params = read_params(path)
    for problem in problems_of(params):
        raise UserError(f"{path}: {problem}")
    return params


def read_params(path: Path | str) -> Params:
    """Read a params.yaml whose keys and types are right, whether they go together or not (`problems_of`)."""
    path = Path(path)
    raw = _read_yaml(path)
    if isinstance(raw, dict):  # an empty section is one that was left out
        raw = {section: value for section, value in raw.items() if value is not None}
    try:
        return msgspec.convert(raw, Params)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: {explain(str(error), raw)}") from None


def _read_yaml(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; run from the project's folder, or copy one from presets/"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8; write it again as one") from None
    try:
        _refuse_aliases(text, path)
        return yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{path}:{where} is not YAML: {getattr(error, 'problem', None) or error}") from None
    except ValueError as error:  # a date that is none, a number of thousands of digits
        raise UserError(f"{path}: not YAML: {error}") from None


def _refuse_aliases(text: str, path: Path) -> None:
    """What an alias shares is one object to DVC: `dvc exp run -S` of one would change all, or nothing."""
    if "*" not in text:
        return
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.AliasEvent) and (mark := event.start_mark):
            raise UserError(
                f"{path}: line {mark.line + 1}: *{event.anchor} is an alias, and `dvc exp run -S` would "
                "change all that share it, or nothing; write the values out"
            )
