"""The feature key: all that decides a feature's value, in one digest and in readable form."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ..params.sections import Pool


@dataclasses.dataclass(frozen=True)
class Derivation:
    """How a layer was computed from another one.

    Attributes
    ----------
    of : str
        The digest of that one's key, in hexadecimal.
    steps : tuple
        As in params.yaml: a name, or {name: number}.
    fit : str
        SHA-256 of the file with what the steps learned from the training split.
    recipe_version : int
        Of the steps: raised with every change of the code that changes values.
    """

    of: str
    steps: tuple[str | Mapping[str, int], ...]
    fit: str
    recipe_version: int

    def __str__(self) -> str:
        """The steps in words."""
        return ", ".join(
            step if isinstance(step, str) else " ".join(f"{name} {value}" for name, value in step.items())
            for step in self.steps
        )


@dataclasses.dataclass(frozen=True)
class FeatureKey:
    """All that decides the value of a layer on given image bytes.

    Two features may be exchanged for each other if and only if their keys are equal. Where the work is
    done (batch size, workers, device) is not part of it: the extraction sees to it that it does not matter.

    Attributes
    ----------
    architecture : str
    weights_sha256 : str
        Of the model's weights file.
    node : str
        The node of the network's graph; what the layer is called is no part of its value.
    preprocessing : dict
        What is done to an image before the network sees it; plain JSON values only.
    precision : str
        That the network computes in: fp32, bf16 or fp16.
    dtype : str
        That the values are stored in: float32 or float16.
    recipe_version : int
        Raised with every change of the code that changes values.
    pool : str
        What was made of the node's value: flatten, cls, mean, max or gem.
    network : dict
        What the network is built with beside its name; plain JSON values only.
    derived : tuple of Derivation
        How a derived layer came from the model's own, whose key has the same other fields.

    The last three came later: where they have their defaults a key is as it was without them.
    """

    architecture: str
    weights_sha256: str
    node: str
    preprocessing: Mapping[str, Any]
    precision: str
    dtype: Literal["float32", "float16"]
    recipe_version: int
    pool: Pool = "flatten"
    network: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    derived: tuple[Derivation, ...] = ()

    def __post_init__(self) -> None:
        # checked, and copied, once: what is hashed is what is shown, whatever happens to the argument later
        for name in ("preprocessing", "network"):
            object.__setattr__(self, name, json.loads(_canonical(dict(getattr(self, name)), name)))
        self.json()

    def json(self) -> str:
        """The key as canonical JSON: keys sorted, no spaces, every value of a plain type."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["derived"] = [dataclasses.asdict(each) for each in self.derived]
        for name, default in (("pool", "flatten"), ("network", {}), ("derived", [])):
            if fields[name] == default:
                del fields[name]
        return _canonical(fields, "feature key")

    @functools.cached_property
    def digest(self) -> bytes:
        """BLAKE2b-128 of `json()`."""
        return hashlib.blake2b(self.json().encode(), digest_size=16).digest()

    @property
    def hex(self) -> str:
        """`digest` in hexadecimal: 32 characters."""
        return self.digest.hex()

    @property
    def steps(self) -> str:
        """How a derived layer came from the model's own, in words: `l2, pca 128`; empty if it is none."""
        return ", ".join(map(str, self.derived))

    @property
    def source(self) -> FeatureKey:
        """The key of the model's own layer: this one's, unless it is derived."""
        return dataclasses.replace(self, derived=())

    def __hash__(self) -> int:
        return hash(self.digest)

    @classmethod
    def from_json(cls, text: str) -> FeatureKey:
        """The key that `json()` wrote; `ValueError` or `TypeError` if `text` is none."""
        try:
            return msgspec.convert(json.loads(text), cls)
        except (msgspec.ValidationError, RecursionError) as error:
            raise ValueError(f"no feature key: {error}") from None


def _canonical(value: Any, where: str) -> str:
    _check_plain(value, where)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _check_plain(value: Any, where: str) -> None:
    """Refuse what JSON would write in a way of its own: the digest of such a value would mean nothing."""
    if type(value) is dict:
        for name, member in value.items():
            if type(name) is not str:
                raise TypeError(f"{where}: the name {name!r} is a {type(name).__name__}, not a str")
            _check_plain(member, f"{where}.{name}")
    elif type(value) in (list, tuple):
        for number, member in enumerate(value):
            _check_plain(member, f"{where}[{number}]")
    elif type(value) is float:
        if not math.isfinite(value):
            raise TypeError(f"{where}: {value} has no place in a key")
    elif value is not None and type(value) not in (str, int, bool):
        raise TypeError(f"{where}: a {type(value).__name__} has no place in a key; give a plain JSON value")
