"""Whether the names and numbers of a params.yaml go together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from ..errors import UserError
from .sections import NAME, NAME_IN_WORDS, Dataset, Model, Params, Train

_ORIGINS = ("random", "imagenet")
_OBJECTS = "objects"  # its file lies beside the manifests of the splits


def check_references(params: Params, path: str) -> None:
    """Every name that one key takes from another must be there; `UserError` names the key."""
    _check_splits(params.dataset, path)
    for name, model in params.models.items():
        _check_model(params, name, model, path)
    _check_cycles(params, path)
    _check_layers(params, path)
    if params.neighbors.k > params.neighbors.depth:
        problem = f"{params.neighbors.k} is more than neighbors.depth keeps"
        _refuse(path, "neighbors.k", problem, [f"1 to {params.neighbors.depth}"])
    for name in params.probe:
        if name in params.models:
            _refuse(path, f"probe.{name}", "a model has this name already", ["any other name"])
    scored = [m for m, spec in params.models.items() if "logits" in spec.layers] + list(params.probe)
    for name in params.ap.of:
        if name not in scored:
            problem = f"no such probe, and no such model with a layer named logits: {name}"
            _refuse(path, "ap.of", problem, scored)


def _refuse(path: str, key: str, problem: str, allowed: list[str]) -> NoReturn:
    raise UserError(f"{path}: {key}: {problem}; allowed: {', '.join(allowed) or 'none'}")


def _check_layers(params: Params, path: str) -> None:
    """What is asked of a layer that no model has."""
    layers = [f"{m}/{layer}" for m, spec in params.models.items() for layer in spec.layers]
    asked = {f"{s}.of": getattr(params, s).of for s in ("index", "neighbors", "tsne")}
    asked["duplicates.of"] = (params.duplicates.of,) if params.duplicates.of else ()
    asked |= {f"probe.{name}.of": (probe.of,) for name, probe in params.probe.items()}
    for key, references in asked.items():
        for reference in references:
            if reference not in layers:
                _refuse(path, key, f"no such layer: {reference}", layers)


def _check_model(params: Params, name: str, model: Model, path: str) -> None:
    key = f"models.{name}"
    if name in _ORIGINS or not re.fullmatch(NAME, name):
        _refuse(path, key, "not a name for a model", [NAME_IN_WORDS + ", but random and imagenet"])
    for layer in model.layers:
        if not re.fullmatch(NAME, layer):
            _refuse(path, f"{key}.layers.{layer}", "not a name for a layer", [NAME_IN_WORDS])
    _check_weights(params, name, model, path)
    if model.preprocess.crop > model.preprocess.resize:
        problem = f"{model.preprocess.crop} is larger than resize"
        _refuse(path, f"{key}.preprocess.crop", problem, [f"1 to {model.preprocess.resize}"])
    if model.train:
        _check_recipe(f"{path}: {key}.train", model.train)
        if model.train.split == params.dataset.test:
            problem = f"{model.train.split} is what the models are measured on"
            _refuse(path, f"{key}.train.split", problem, ["any other split"])
        if model.train.keep == "best" and not model.train.hold_out:
            allowed = ["last", "best with hold_out: true"]
            _refuse(path, f"{key}.train.keep", "best needs hold_out: true", allowed)
        if model.train.hold_out and params.dataset.val is None:
            _refuse(path, f"{key}.train.hold_out", "dataset.val names no split to hold out", ["false"])


def _check_weights(params: Params, name: str, model: Model, path: str) -> None:
    key = f"models.{name}"
    if model.weights_are_a_file:
        if Path(model.weights).is_absolute() or ".." in Path(model.weights).parts:
            raise UserError(
                f"{path}: {key}.weights: {model.weights}: put or link the checkpoint into data/models "
                "and give its path from there"
            )
        if model.sha256 is None:
            raise UserError(
                f"{path}: {key}.sha256: required beside a checkpoint; "
                f"run sha256sum data/models/{model.weights}"
            )
        return
    others = [m for m in params.models if m != name]
    if model.weights not in (*_ORIGINS, *others):
        allowed = [*_ORIGINS, *others, "a .pth or .safetensors file in data/models"]
        _refuse(path, f"{key}.weights", f"no such origin: {model.weights}", allowed)


def _check_recipe(key: str, recipe: Train) -> None:
    for name in ("scale", "ratio"):
        span = getattr(recipe.augment, name)
        if span and span[0] > span[1]:
            raise UserError(f"{key}.augment.{name}: {span[0]:g} to {span[1]:g}: give the smaller one first")
    if recipe.head_epochs > recipe.epochs:
        raise UserError(
            f"{key}.head_epochs: {recipe.head_epochs}, but there are {recipe.epochs} epochs; for a head "
            "alone, write freeze: trunk"
        )


def _check_splits(dataset: Dataset, path: str) -> None:
    splits = {"train": dataset.train, "test": dataset.test, "val": dataset.val}
    for key, split in splits.items():
        if split == _OBJECTS:
            raise UserError(f"{path}: dataset.{key}: {split} is not free as a name; rename this split")
    if dataset.test in (dataset.train, dataset.val):
        raise UserError(
            f"{path}: dataset.test: {dataset.test} is trained on as well; what is measured on it would "
            "mean nothing"
        )


def _check_cycles(params: Params, path: str) -> None:
    for name in params.models:
        seen = [name]
        while (origin := params.models[seen[-1]].weights) in params.models:
            if origin in seen:
                chain = " -> ".join([*seen, origin])
                raise UserError(f"{path}: models.{name}.weights: the models start from each other: {chain}")
            seen.append(origin)
