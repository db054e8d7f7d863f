"""Whether the names and numbers of a params.yaml go together."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from .sections import NAME, NAME_IN_WORDS, Columns, Dataset, Model, Params, Preprocess, Train
from .words import problem_with_words

# of weights that are neither a file nor another model's; each has a folder in data/models, which says this
ORIGINS = {
    "random": "`weights: random` starts a model from weights drawn with its recipe's seed.",
    "imagenet": """\
`weights: imagenet` starts a model from torchvision's ImageNet weights. They are fetched once into torch's own
cache (`$TORCH_HOME/hub/checkpoints`, by default `~/.cache/torch/hub/checkpoints`) and checked against the
hash in their name. Without a network, put the file there by hand; the error message names it.""",
    "pretrained": """\
`weights: pretrained` starts a model from the weights that its architecture's name means in the library that
it comes from. They are fetched once into that library's own cache. Without a network, put the file there by
hand; the error message names it.""",
}
_FOREIGN = (".onnx", ".h5", ".hdf5", ".keras", ".npz", ".npy", ".pb", ".tflite", ".pt2", ".pkl", ".msgpack")
SAVE_INSTEAD = "save torch.save(model.state_dict(), 'net.pth') instead, best as safetensors"  # of a network
_ITEM_IN_WORDS = "letters, digits, '_' and '-', the first a letter or digit"
_MAPS = ("tsne", "pca", "umap", "pacmap", "clusters")  # names of what lies beside one's own points
_TAKEN = ("objects", "looks")  # whose files lie beside the manifests of the splits


def problems_of(params: Params) -> Iterator[str]:
    """A line for every name that is not there or cannot be one, and every number that fits no other."""
    yield from _of_splits(params.dataset)
    yield from _of_kind(params.dataset)
    for name, model in params.models.items():
        yield from _of_model(params, name, model)
    yield from _of_origins(params)
    yield from _of_derived(params)
    yield from _of_layers(params)
    yield from _of_points(params)
    if params.neighbors.k > params.neighbors.depth:
        problem = f"{params.neighbors.k} is more than neighbors.depth keeps"
        yield _line("neighbors.k", problem, [f"1 to {params.neighbors.depth}"])
    for name in params.probe:
        key = f"probe.{name}"
        yield from _of_name(key, name, "a probe", {"model": params.models})
        yield from _of_words(params, name)
        if params.probe[name].kind == "zeroshot" and params.probe[name].shots:
            yield f"{key}.shots: a zero-shot probe learns from no image; leave shots out"
    scored = [m for m, spec in params.models.items() if "logits" in spec.layers] + list(params.probe)
    for name in params.label_issues.of:
        if name not in params.probe:
            yield _line("label_issues.of", f"no such probe: {name}", list(params.probe))
    for name in params.ap.of:
        if name not in scored:
            problem = f"no such probe, and no such model with a layer named logits: {name}"
            yield _line("ap.of", problem, scored)


def _line(key: str, problem: str, allowed: list[str]) -> str:
    return f"{key}: {problem}; allowed: {', '.join(allowed) or 'none'}"


def _is_item(name: str) -> bool:
    """Whether DVC can name a stage or a parameter by it: to DVC a dot ends a key."""
    return re.fullmatch(NAME, name) is not None and "." not in name


def _of_name(key: str, name: str, what: str, taken: Mapping[str, Collection[str]]) -> Iterator[str]:
    """A name that something else has, or that DVC or a folder cannot have."""
    for owner, names in taken.items():
        if name in names:
            yield _line(key, f"a {owner} has this name already", ["any other name"])
    if not _is_item(name):
        yield _line(key, f"not a name for {what}", [_ITEM_IN_WORDS])


def _of_derived(params: Params) -> Iterator[str]:
    """Names, sources that are not there or stand below, and steps that do not go together."""
    layers = _layers_of_models(params)
    for name, derived in params.derive.items():
        key = f"derive.{name}"
        yield from _of_name(key, name, "a derived layer", {"model": params.models, "probe": params.probe})
        if derived.of not in layers:
            yield _line(f"{key}.of", f"no such layer, or one that is derived below: {derived.of}", layers)
        layers.append(f"{name}/{derived.of.partition('/')[2]}")
        for before, step in pairwise((None, *derived.steps)):
            if step == "whiten" and not isinstance(before, dict):
                yield (
                    f"{key}.steps: whiten scales principal components to one variance; put it right behind "
                    "pca, as in [{pca: 128}, whiten]"
                )


def _layers_of_models(params: Params) -> list[str]:
    return [f"{name}/{layer}" for name, model in params.models.items() for layer in model.layers]


def _layers(params: Params) -> list[str]:
    """Those of models, and the derived ones."""
    derived = [f"{name}/{derived.of.partition('/')[2]}" for name, derived in params.derive.items()]
    return _layers_of_models(params) + derived


def _of_layers(params: Params) -> Iterator[str]:
    """What is asked of a layer that neither a model has nor is derived."""
    layers = _layers(params)
    asked = {
        f"{s}.of": getattr(params, s).of
        for s in ("index", "neighbors", "tsne", "maps", "compare", "outliers")
    }
    asked["duplicates.of"] = (params.duplicates.of,) if params.duplicates.of else ()
    asked |= {f"probe.{name}.of": (probe.of,) for name, probe in params.probe.items()}
    for key, references in asked.items():
        for reference in references:
            if reference not in layers:
                yield _line(key, f"no such layer: {reference}", layers)


def _of_points(params: Params) -> Iterator[str]:
    """Points without a layer to hold them against, with a map's name, or from a file of somebody else."""
    for name, file in params.maps.points.items():
        key = f"maps.points.{name}"
        yield from _of_name(key, name, "points of one's own", {"map": _MAPS})
        if Path(file).is_absolute() or ".." in Path(file).parts:
            yield f"{key}: {file}: no file of the project; copy it beside params.yaml"
    if params.maps.points and not params.maps.of:
        yield "maps.points: points are held against a layer; name one in maps.of"


def _of_words(params: Params, name: str) -> Iterator[str]:
    """What a zero-shot probe cannot ask for."""
    probe = params.probe[name]
    if probe.kind != "zeroshot":
        return
    there = probe.of in _layers(params) and not any(_of_derived(params))
    if there and (problem := problem_with_words(params, probe.of)):
        yield f"probe.{name}: kind zeroshot: {problem}"
    for template in probe.templates:
        if "{}" not in template:
            yield f"probe.{name}.templates: {template!r} has no {{}} where the name of a class would stand"


def _of_model(params: Params, name: str, model: Model) -> Iterator[str]:
    key = f"models.{name}"
    if name in ORIGINS or not _is_item(name):
        yield _line(key, "not a name for a model", [f"{_ITEM_IN_WORDS}, but {', '.join(ORIGINS)}"])
    for layer in model.layers:
        if not re.fullmatch(NAME, layer):
            yield _line(f"{key}.layers.{layer}", "not a name for a layer", [NAME_IN_WORDS])
    yield from _of_weights(params, name, model)
    yield from _of_classes(f"{key}.classes", model)
    if (
        isinstance(given := model.preprocess, Preprocess)
        and given.crop > given.resize
        and given.mode != "pad"
    ):
        problem = f"{given.crop} is larger than resize"
        yield _line(f"{key}.preprocess.crop", problem, [f"1 to {given.resize}"])
    if model.train:
        yield from _of_training(f"{key}.train", model.train, params.dataset)


def _of_weights(params: Params, name: str, model: Model) -> Iterator[str]:
    key = f"models.{name}"
    others = [m for m in params.models if m != name]
    if not model.weights_are_a_file:
        published = model.weights in ("imagenet", "pretrained")
        if published and (model.file or model.architecture == "caffenet"):
            problem = f"{model.weights}: nobody publishes weights of {model.architecture}"
            yield _line(f"{key}.weights", problem, ["random", *others, "a file in data/models"])
        if model.weights not in (*ORIGINS, *others):
            if model.weights.endswith(_FOREIGN):
                yield f"{key}.weights: {model.weights}: no state dict of torch; {SAVE_INSTEAD}"
                return
            allowed = [*ORIGINS, *others, "a .pth, .ckpt or .safetensors file in data/models"]
            yield _line(f"{key}.weights", f"no such origin: {model.weights}", allowed)
        return
    if Path(model.weights).is_absolute() or ".." in Path(model.weights).parts:
        yield (
            f"{key}.weights: {model.weights}: put or link the checkpoint into data/models "
            "and give its path from there"
        )
    elif model.sha256 is None:
        yield f"{key}.sha256: required beside a checkpoint; run sha256sum data/models/{model.weights}"


def _of_classes(key: str, model: Model) -> Iterator[str]:
    """Names given to the outputs of weights that came with none."""
    if len(set(model.classes)) < len(model.classes):
        twice = next(name for i, name in enumerate(model.classes) if name in model.classes[:i])
        yield f"{key}: {twice} stands there twice; name each output once, in order"
    if model.classes and not (model.weights_are_a_file or model.weights in ("imagenet", "pretrained")):
        yield (
            f"{key}: the outputs of {model.weights} have the names that they were made with; give classes "
            "beside a checkpoint, or leave them out"
        )


def _of_training(key: str, recipe: Train, dataset: Dataset) -> Iterator[str]:
    for name in ("scale", "ratio"):
        span = getattr(recipe.augment, name)
        if span and span[0] > span[1]:
            yield f"{key}.augment.{name}: {span[0]:g} to {span[1]:g}: give the smaller one first"
    if recipe.head_epochs > recipe.epochs:
        yield (
            f"{key}.head_epochs: {recipe.head_epochs}, but there are {recipe.epochs} epochs; for a head "
            "alone, write freeze: trunk"
        )
    split = recipe.split or dataset.train
    if recipe.split == dataset.test:
        yield _line(f"{key}.split", f"{split} is what the models are measured on", ["any other split"])
    if recipe.keep == "best" and not recipe.hold_out:
        allowed = ["last", "best with hold_out: true"]
        yield _line(f"{key}.keep", "best needs hold_out: true", allowed)
    if recipe.hold_out and dataset.val is None:
        yield _line(f"{key}.hold_out", "dataset.val names no split to hold out", ["false"])
    if recipe.hold_out and dataset.val == split:
        yield _line(f"{key}.hold_out", f"dataset.val is {split}, so nothing is left to train on", ["false"])


def _of_splits(dataset: Dataset) -> Iterator[str]:
    splits = {"train": dataset.train, "test": dataset.test, "val": dataset.val}
    for key, split in splits.items():
        if split in _TAKEN:
            yield f"dataset.{key}: {split} is not free as a name; rename this split"
    if dataset.test in (dataset.train, dataset.val):
        yield (
            f"dataset.test: {dataset.test} is trained on as well; what is measured on it would mean nothing"
        )


def _of_kind(dataset: Dataset) -> Iterator[str]:
    """What the kind would pass over without a word."""
    read = {"files": ("table", "coco", "webdataset"), "columns": ("table", "webdataset")}
    given = {"files": dataset.files is not None, "columns": dataset.columns != Columns()}
    for key, kinds in read.items():
        if given[key] and dataset.kind not in kinds:
            yield f"dataset.{key}: read by kind {', '.join(kinds)}, and not by {dataset.kind}; leave it out"


def _of_origins(params: Params) -> Iterator[str]:
    for name in params.models:
        seen = [name]
        while (origin := params.models[seen[-1]].weights) in params.models:
            if origin in seen:
                chain = " -> ".join([*seen, origin])
                yield f"models.{name}.weights: the models start from each other: {chain}"
                return
            seen.append(origin)
