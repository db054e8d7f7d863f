"""A layer computed from a stored one, by steps that are fitted on the training split."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..errors import UserError
from ..files.atomic import atomic_write
from ..labels import Labels
from ..params.sections import Step
from ..search.vectors import check_finite
from ..store.feature_file import FeatureFile
from ..store.feature_key import Derivation, FeatureKey
from ..store.feature_writer import FileHead, LayerSource, stream_feature_file
from ..store.layer_shape import LayerShape
from .derive_steps import RECIPE_VERSION, STEPS, Tensors

FIT = "fit.safetensors"  # beside the feature files
_BLOCK_VALUES = 1 << 21  # of the rows that are at work at once: 16 MiB of float64
Steps = tuple[Step, ...]


@dataclasses.dataclass(frozen=True)
class Fit:
    """Steps, and what each has learned."""

    steps: Steps = ()
    learned: tuple[Tensors, ...] = ()

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """(n, D) rows as they are stored -> (n, D') float64."""
        made = np.asarray(rows, np.float64)
        for step, learned in zip(self.steps, self.learned, strict=True):
            made = STEPS[_name(step)].apply(made, learned)
        return made

    def derive(self, rows: np.ndarray, dtype: str) -> np.ndarray:
        """(n, D) rows as they are stored -> (n, D') as they will be stored.

        Raises
        ------
        UserError
            If a value is too large for float16.
        """
        return np.concatenate([self._stored(block, dtype) for block in _blocks(rows)])

    def _stored(self, rows: np.ndarray, dtype: str) -> np.ndarray:
        made = self.apply(rows)
        with np.errstate(over="ignore"):
            stored = made.astype(dtype)
        if not np.isfinite(stored).all():
            raise UserError(
                f"derive: values of {np.abs(made).max():.3g} are too large for {dtype}; "
                "put l2 first, or set extract.dtype: float32"
            )
        return stored


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Training rows as the steps of a fit leave them."""

    stored: np.ndarray
    fit: Fit
    width: int

    @property
    def count(self) -> int:
        return len(self.stored)

    def blocks(self) -> Iterator[np.ndarray]:
        return map(self.fit.apply, _blocks(self.stored))


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    """At least one."""
    step = max(_BLOCK_VALUES // rows.shape[1], 1)
    return (rows[start : start + step] for start in range(0, max(len(rows), 1), step))


def decides_layer(name: str, files: Sequence[FeatureFile], layer: str, steps: Steps) -> dict[str, Any]:
    """All that decides the files of `derive_layer`, as plain JSON values."""
    return {
        "name": name,
        "layer": layer,
        "steps": msgspec.to_builtins(steps),
        "files": [
            [
                *(file.dataset, file.split, file.classes, file.layer_digest(layer)),
                *(file.ids_digest, file.labels_digest, _digest_of_digests(file)),
            ]
            for file in files
        ],
        "steps_version": RECIPE_VERSION,
        "numpy": version("numpy"),
    }


def derive_layer(name: str, files: Sequence[FeatureFile], layer: str, steps: Steps, folder: Path) -> None:
    """Fit the steps on the first file's rows, and write the layer's feature files and its fit into a folder.

    Parameters
    ----------
    name : str
        Of the derived layer in params.yaml; in the files it stands where a model's does.
    files : sequence of FeatureFile
        That of the training split, then the others that have the layer.
    folder : path
        For `<split>.h5` of each, and `fit.safetensors`.

    Raises
    ------
    UserError
        If a step cannot be on such rows, or a value is not finite.
    """
    from threadpoolctl import threadpool_limits

    train = files[0]
    for file in files:
        check_finite(file.layer(layer), file.ids, file.model, f"{file.model}/{layer} on {file.split}")
    try:
        width = width_after(steps, train.layer(layer).shape[1], len(train))
    except ValueError as error:
        raise UserError(f"derive.{name}.steps: {error}") from None
    with threadpool_limits(1, "blas"):  # sums in an order that the number of threads does not change
        fit = fit_steps(train.layer(layer), steps)
        digest = _write_fit(fit, train.feature_key(layer), folder / FIT)
        for file in files:
            key = _derived(file.feature_key(layer), fit.steps, digest)
            rows = _rows_of(file.layer(layer), fit, key.dtype)
            source = LayerSource(key, width, rows, LayerShape((width,)))
            stream_feature_file(folder / f"{file.split}.h5", _head(file, name), {layer: source})


def fit_steps(rows: np.ndarray, steps: Steps) -> Fit:
    """Fit steps one after the other on (N, D) rows."""
    fit, width = Fit(), rows.shape[1]
    for step in steps:
        learned = STEPS[_name(step)].fit(_Rows(rows, fit, width), _number(step))
        fit = Fit((*fit.steps, step), (*fit.learned, learned))
        width = width_after([step], width)
    return fit


def width_after(steps: Sequence[Step], width: int, rows: int | None = None) -> int:
    """The values of a row after the steps; `ValueError` where they cannot be on so many training rows."""
    for step in steps:
        width = STEPS[_name(step)].width(_number(step), width, rows)
    return width


def read_fit(path: Path, derivation: Derivation) -> Fit:
    """What a layer was derived by.

    Raises
    ------
    UserError
        If it is not there, or another one.
    """
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file", rerun="derive") from None
    if hashlib.sha256(content).hexdigest() != derivation.fit:
        problem = f"{path}: damaged, or not that of the feature files beside it"
        raise UserError(problem, rerun="derive", force=True)
    tensors = load(content)
    learned = [
        {name.partition(".")[2]: tensors[name] for name in tensors if name.partition(".")[0] == str(number)}
        for number in range(len(derivation.steps))
    ]
    return Fit(msgspec.convert(derivation.steps, Steps), tuple(learned))


def _write_fit(fit: Fit, source: FeatureKey, path: Path) -> str:
    """Write `<number of the step>.<tensor>`; gives the digest of the file."""
    from safetensors.numpy import save

    tensors = {
        f"{number}.{name}": np.ascontiguousarray(tensor)
        for number, learned in enumerate(fit.learned)
        for name, tensor in learned.items()
    }
    about = {"of": json.loads(source.json()), "steps": msgspec.to_builtins(fit.steps)}
    # one entry only: safetensors writes several in an order that differs from run to run
    content = save(tensors, {"pool5": json.dumps(about, sort_keys=True)})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _derived(source: FeatureKey, steps: Steps, fit: str) -> FeatureKey:
    derivation = Derivation(source.hex, tuple(msgspec.to_builtins(steps)), fit, RECIPE_VERSION)
    return dataclasses.replace(source, derived=(*source.derived, derivation))


def _rows_of(rows: np.ndarray, fit: Fit, dtype: str) -> Callable[[int, int], np.ndarray]:
    return lambda start, stop: fit.derive(rows[start:stop], dtype)


def _head(file: FeatureFile, name: str) -> FileHead:
    labels = Labels.dense(file.labels)
    return FileHead(file.dataset, file.split, name, file.classes, file.ids, file.digests, labels)


def _digest_of_digests(file: FeatureFile) -> str:
    return hashlib.sha256(file.arrays["digest"].checksums.tobytes()).hexdigest()


def _name(step: Step) -> str:
    return step if isinstance(step, str) else next(iter(step))


def _number(step: Step) -> int | None:
    return None if isinstance(step, str) else next(iter(step.values()))
