"""params.yaml, read once into typed, checked objects."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import yaml
from msgspec import Meta

from ..errors import UserError

Fraction = Annotated[float, Meta(ge=0, le=1)]
_MOST = 1e12  # YAML has .inf, which no setting means
Positive = Annotated[float, Meta(gt=0, le=_MOST)]
NonNegative = Annotated[float, Meta(ge=0, le=_MOST)]
Count = Annotated[int, Meta(ge=1)]
Seed = Annotated[int, Meta(ge=0, lt=2**32)]
Device = Annotated[str, Meta(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
_NAME = r"^\w[\w.-]*$"  # of a file or folder: no path, not . or ..
_NAME_IN_WORDS = "letters, digits, '_', '-' and '.', the first a letter or digit"
Name = Annotated[str, Meta(pattern=_NAME)]
LayerRef = Annotated[str, Meta(pattern=r"^[^/\s]+/[^/\s]+$")]  # <model>/<layer>
LayerRefs = Annotated[tuple[LayerRef, ...], Meta(min_length=1)]

Precision = Literal["fp32", "bf16", "fp16"]
Metric = Literal["cosine", "l2", "ip"]
Protocol = Literal["voc2007", "area", "sklearn"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of params.yaml: immutable, and strict about its keys."""


class Sample(_Section, frozen=True, kw_only=True):
    """How many images the embedded sample draws, and from which seed."""

    seed: Seed = 0
    train: Count = 450
    val: Count = 150
    test: Count = 400
    source: Count = 1200


class Dataset(_Section, frozen=True, kw_only=True):
    """Where the images are and which splits to use."""

    name: Name
    kind: Literal["voc", "folder"]
    root: Annotated[str, Meta(min_length=1)]
    train: Name
    test: Name
    val: Name | None = None  # a part of `train` that trainings may hold out
    sample: Sample | None = None  # set: the devkit at `root` is drawn by the program


class Preprocess(_Section, frozen=True, kw_only=True):
    """What is done to an image before the network sees it: resize the short side, crop the centre."""

    resize: Count
    crop: Count
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)


class Augment(_Section, frozen=True, kw_only=True):
    """Random changes to a training image; the defaults change nothing but the crop's place and side."""

    scale: tuple[Fraction, Fraction] | None = None  # RandomResizedCrop: share of the area; None: a plain crop
    ratio: tuple[Positive, Positive] = (0.75, 4 / 3)
    flip: Fraction = 0.5
    brightness: NonNegative = 0.0
    contrast: NonNegative = 0.0
    saturation: NonNegative = 0.0
    hue: Annotated[float, Meta(ge=0, le=0.5)] = 0.0


class Train(_Section, frozen=True, kw_only=True):
    """A training recipe."""

    epochs: Count
    batch_size: Count
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Positive
    head_lr_factor: Positive = 1.0  # the fresh head's learning rate over the trunk's
    momentum: Fraction = 0.9
    weight_decay: NonNegative = 0.0
    schedule: Literal["cosine", "step"] = "cosine"
    steps: tuple[Fraction, ...] = (0.6, 0.85)  # of the epochs; `step` divides the rate by ten at each
    warmup_epochs: NonNegative = 0.0
    ema: Annotated[float, Meta(ge=0, lt=1)] | None = None
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    augment: Augment = Augment()
    split: Name | None = None  # None: dataset.train
    hold_out: bool = False  # leave dataset.val out of the training and measure on it
    keep: Literal["last", "best"] = "last"  # best: the epoch with the highest mAP on dataset.val
    freeze: Literal["nothing", "statistics", "trunk"] = "nothing"  # statistics: those of the batch norms
    head_epochs: Annotated[int, Meta(ge=0)] = 0  # the first epochs, in which the head alone learns
    seed: Seed = 0
    deterministic: bool = True
    device: Device = "auto"


class Model(_Section, frozen=True, kw_only=True):
    """An architecture, where its weights come from, and the layers to store."""

    architecture: str
    weights: str  # random | imagenet | the name of another model | a file in data/models
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    layers: Annotated[dict[str, str], Meta(min_length=1)]
    preprocess: Preprocess
    train: Train | None

    @property
    def weights_are_a_file(self) -> bool:
        return Path(self.weights).suffix in {".pth", ".pt", ".bin", ".safetensors"}


class Extract(_Section, frozen=True, kw_only=True):
    """How features are computed and stored."""

    device: Device = "auto"
    precision: Precision = "fp32"
    dtype: Literal["float32", "float16"] = "float32"
    batch_size: Count = 32
    workers: Annotated[int, Meta(ge=0)] | Literal["auto"] = "auto"
    on_bad_image: Literal["fail", "skip"] = "fail"
    cache: Annotated[str, Meta(min_length=1)] = ".cache/features"


class Index(_Section, frozen=True, kw_only=True):
    """Which layers get a FAISS index, and which kind."""

    of: LayerRefs
    factory: str = "Flat"
    metric: Metric = "cosine"
    memory_gb: Positive = 4.0  # what `factory: auto` may spend on one index
    queries: Count = 200  # held-out queries of the quality report
    seed: Seed = 0


class Neighbors(_Section, frozen=True, kw_only=True):
    """The neighbor sheets and the retrieval metrics."""

    of: LayerRefs
    queries: Count = 3
    k: Count = 4
    seed: Seed = 0
    bootstrap: Count = 1000


class Duplicates(_Section, frozen=True, kw_only=True):
    """Near-duplicate pairs within and between the splits.

    The threshold's default is for ImageNet features of photographs. In mobilenet_v2's pooled layer the two
    most similar of 1200 different photographs of VOC 2012 have .885; a copy that was compressed again,
    mirrored or cropped by a tenth has .92 or more, one of half the size .92 in the median. Layers differ.
    """

    of: LayerRef
    threshold: Annotated[float, Meta(gt=-1, le=1)] = 0.9  # cosine similarity from which a pair is listed


class Tsne(_Section, frozen=True, kw_only=True):
    """The t-SNE maps."""

    of: LayerRefs
    sample: Count = 1000
    perplexity: Positive = 30.0
    seed: Seed = 0
    backend: Literal["auto", "sklearn", "opentsne"] = "auto"
    stability_seeds: Annotated[int, Meta(ge=0)] = 2  # further maps to measure the stability with


class Probe(_Section, frozen=True, kw_only=True):
    """A linear classifier on one stored layer."""

    of: LayerRef
    C: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
    folds: Annotated[int, Meta(ge=2, le=100)] = 5
    seed: Seed = 0


class Ap(_Section, frozen=True, kw_only=True):
    """The average-precision tables."""

    of: Annotated[tuple[str, ...], Meta(min_length=1)]
    protocols: Annotated[tuple[Protocol, ...], Meta(min_length=1)] = ("voc2007", "area")
    bootstrap: Count = 1000
    seed: Seed = 0


class Params(_Section, frozen=True, kw_only=True):
    """The whole of params.yaml."""

    dataset: Dataset
    models: Annotated[dict[str, Model], Meta(min_length=1)]
    extract: Extract
    index: Index
    neighbors: Neighbors
    duplicates: Duplicates
    tsne: Tsne
    probe: Annotated[dict[str, Probe], Meta(min_length=1)]
    ap: Ap

    def model(self, name: str) -> Model:
        """The model of that name; `UserError` if there is none."""
        if name not in self.models:
            raise UserError(f"no model {name!r} in params.yaml; it has {', '.join(self.models)}")
        return self.models[name]


def split_reference(reference: str) -> tuple[str, str]:
    """The model and the layer of a `<model>/<layer>`; `UserError` if it is none."""
    model, _, layer = reference.partition("/")
    if not model or not layer or "/" in layer:
        raise UserError(f"{reference!r} names no layer; write <model>/<layer>")
    return model, layer


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml: a query reads this file too


class _Loader(_SafeLoader):
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
        return super().construct_mapping(node, deep)


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read and check a params.yaml.

    Raises
    ------
    UserError
        One line that names the key and says what is allowed there.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; run from the project's folder, or copy one from presets/"
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8; write it again as one") from None
    try:
        raw = yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{path}:{where} is not YAML: {getattr(error, 'problem', None) or error}") from None
    except ValueError as error:  # a date that is none, a number of thousands of digits
        raise UserError(f"{path}: not YAML: {error}") from None
    try:
        params = msgspec.convert(raw, Params)
    except msgspec.ValidationError as error:
        raise UserError(f"{path}: {_explain(str(error), raw)}") from None
    _check_references(params, str(path))
    return params


def _explain(message: str, raw: Any) -> str:
    """msgspec's message in the words of params.yaml: the key first, then what is allowed there."""
    text, _, location = message.partition(" - at `$")
    key = location.rstrip("`").lstrip(".")
    if "[...]" in key:
        key = _member_at_fault(key, raw)
    if unknown := re.match(r"Object contains unknown field `(.+)`", text):
        allowed = _fields_at(key)
        name = unknown[1]
        near = difflib.get_close_matches(name, allowed, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"{_join(key, name)}: unknown key{hint}; allowed: {', '.join(allowed)}"
    if missing := re.match(r"Object missing required field `(.+)`", text):
        return f"{_join(key, missing[1])}: this key is required"
    if text.startswith("Invalid enum value"):
        return (
            f"{key}: {text.removeprefix('Invalid enum value ')} is not allowed; allowed: {_choices_at(key)}"
        )
    if text == "Expected `float`, got `str`":
        text += "; write 0.001 or 1.0e-3, since 1e-3 is text to YAML"
    return f"{key or 'the file'}: {text[0].lower()}{text[1:]}"


def _member_at_fault(key: str, raw: Any) -> str:
    """msgspec says `models[...].train`; find which model it was."""
    section = key.partition("[...]")[0]
    member = _type_at(f"{section}.member")
    for name, value in raw[section].items() if isinstance(raw.get(section), dict) else ():
        try:
            msgspec.convert(value, member)
        except msgspec.ValidationError as error:
            rest = str(error).partition(" - at `$")[2].rstrip("`")
            return f"{section}.{name}{rest}".replace("[...]", "[…]")
    return key.replace("[...]", "[…]")


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _type_at(key: str) -> Any:
    """The type that `Params` declares at a dotted key; `[…]` stands for any member."""
    current: Any = Params
    for step in re.findall(r"[^.\[\]]+", key):
        if structs := _structs(current):
            current = {field.name: field.type for field in msgspec.structs.fields(structs[0])}.get(step)
        else:
            # the values of a dict, the members of a tuple
            members = ([a for a in get_args(t) if a is not ...] for t in _variants(current) if get_args(t))
            current = next(members, [None])[-1]
    return current


def _variants(annotation: Any) -> list[Any]:
    """The plain types inside `Annotated`, unions and None."""
    if hasattr(annotation, "__metadata__"):
        return _variants(annotation.__origin__)
    if type(None) in get_args(annotation):
        return [v for a in get_args(annotation) if a is not type(None) for v in _variants(a)]
    return [annotation]


def _fields_at(key: str) -> list[str]:
    structs = _structs(_type_at(key))
    return list(structs[0].__struct_fields__) if structs else []


def _structs(annotation: Any) -> list[type[msgspec.Struct]]:
    return [t for t in _variants(annotation) if isinstance(t, type) and issubclass(t, msgspec.Struct)]


def _choices_at(key: str) -> str:
    return ", ".join(str(c) for t in _variants(_type_at(key)) for c in get_args(t))


_ORIGINS = ("random", "imagenet")
_OBJECTS = "objects"  # its file lies beside the manifests of the splits


def _check_references(params: Params, path: str) -> None:
    """Every name that one key takes from another must be there."""

    def refuse(key: str, problem: str, allowed: list[str]) -> None:
        raise UserError(f"{path}: {key}: {problem}; allowed: {', '.join(allowed) or 'none'}")

    _check_splits(params.dataset, path)
    models = list(params.models)
    layers = [f"{m}/{layer}" for m, spec in params.models.items() for layer in spec.layers]

    for name, model in params.models.items():
        key = f"models.{name}"
        if name in _ORIGINS or not re.fullmatch(_NAME, name):
            refuse(key, "not a name for a model", [_NAME_IN_WORDS + ", but random and imagenet"])
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
        elif model.weights not in (*_ORIGINS, *(m for m in models if m != name)):
            others = [m for m in models if m != name]
            refuse(
                f"{key}.weights",
                f"no such origin: {model.weights}",
                [*_ORIGINS, *others, "a .pth or .safetensors file in data/models"],
            )
        if model.preprocess.crop > model.preprocess.resize:
            refuse(
                f"{key}.preprocess.crop",
                f"{model.preprocess.crop} is larger than resize",
                [f"1 to {model.preprocess.resize}"],
            )
        if model.train:
            _check_recipe(f"{path}: {key}.train", model.train)
        if model.train and model.train.keep == "best" and not model.train.hold_out:
            refuse(f"{key}.train.keep", "best needs hold_out: true", ["last", "best with hold_out: true"])
        if model.train and model.train.hold_out and params.dataset.val is None:
            refuse(f"{key}.train.hold_out", "dataset.val names no split to hold out", ["false"])
        for layer in model.layers:
            if not re.fullmatch(_NAME, layer):
                refuse(f"{key}.layers.{layer}", "not a name for a layer", [_NAME_IN_WORDS])
    _check_cycles(params, path)

    for section in ("index", "neighbors", "tsne"):
        for reference in getattr(params, section).of:
            if reference not in layers:
                refuse(f"{section}.of", f"no such layer: {reference}", layers)
    if params.duplicates.of not in layers:
        refuse("duplicates.of", f"no such layer: {params.duplicates.of}", layers)
    for reference in params.neighbors.of:
        if reference not in params.index.of:
            refuse("neighbors.of", f"{reference} has no index", list(params.index.of))
    for name, probe in params.probe.items():
        if name in params.models:
            refuse(f"probe.{name}", "a model has this name already", ["any other name"])
        if probe.of not in layers:
            refuse(f"probe.{name}.of", f"no such layer: {probe.of}", layers)
    scored = [m for m, spec in params.models.items() if "logits" in spec.layers] + list(params.probe)
    for name in params.ap.of:
        if name not in scored:
            refuse("ap.of", f"no such probe, and no such model with a layer named logits: {name}", scored)


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
