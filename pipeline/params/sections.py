"""The sections of params.yaml and their defaults."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..errors import UserError
from ..files.remote import is_remote

Fraction = Annotated[float, Meta(ge=0, le=1)]
_MOST = 1e12  # YAML has .inf, which no setting means
Positive = Annotated[float, Meta(gt=0, le=_MOST)]
NonNegative = Annotated[float, Meta(ge=0, le=_MOST)]
Count = Annotated[int, Meta(ge=1)]
Seed = Annotated[int, Meta(ge=0, lt=2**32)]
Byte = Annotated[int, Meta(ge=0, le=255)]
# where a pattern does not fit, its description is what a user is told to write
Device = Annotated[
    str, Meta(pattern=r"^(auto|cpu|cuda(:\d+)?)\Z", description="auto, cpu, cuda, or one GPU such as cuda:0")
]
OneDevice = Annotated[
    str, Meta(pattern=r"^(cpu|cuda:\d+)\Z", description="each device by itself, cpu or a GPU such as cuda:0")
]
NAME = r"^\w[\w.-]*\Z"  # of a file or folder: no path, not . or ..
NAME_IN_WORDS = "letters, digits, '_', '-' and '.', the first a letter or digit"
Name = Annotated[str, Meta(pattern=NAME, description=NAME_IN_WORDS)]
Text = Annotated[str, Meta(min_length=1)]
LayerRef = Annotated[
    str, Meta(pattern=r"^[^/\s]+/[^/\s]+\Z", description="a layer as model/layer, such as caffenet/pool5")
]  # the model may be a derived layer's name
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="64 hexadecimal digits in lower case")]
LayerRefs = tuple[LayerRef, ...]

Precision = Literal["fp32", "bf16", "fp16"]
Metric = Literal["cosine", "l2", "ip"]
Protocol = Literal["voc2007", "area", "sklearn"]
Pool = Literal["flatten", "cls", "mean", "max", "gem"]
Step = Literal["l2", "center", "whiten"] | Annotated[dict[Literal["pca"], Count], Meta(min_length=1)]


def is_list(text: str) -> bool:
    """Whether what stands in `dataset.exclude` is a list of images in a file, and no pattern."""
    return text.endswith(".txt")


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of params.yaml: immutable, and strict about its keys."""


class Sample(_Section, frozen=True, kw_only=True):
    """How many images the embedded sample draws, and from which seed."""

    seed: Seed = 0
    train: Count = 450
    val: Count = 150
    test: Count = 400
    source: Count = 1200


class Columns(_Section, frozen=True, kw_only=True):
    """What the columns of a table are called, or the fields of the JSON beside a shard's images.

    A label is a column a class, unless `labels` names one column for all: with a list, or with names between
    which `separator` stands, or with one name.
    """

    image: Text = "path"  # a path, an address, or an image's bytes
    split: Text = "split"
    id: Text = "id"
    labels: Text | None = None
    separator: Text | None = None


class Dataset(_Section, frozen=True, kw_only=True):
    """Where the images are, which of them count, and which splits to use."""

    name: Name
    kind: Literal["voc", "folder", "images", "table", "coco", "webdataset"]
    root: Text  # a folder, or an address such as s3://bucket/folder
    train: Name
    test: Name
    val: Name | None = None  # a part of `train` that trainings may hold out
    files: Text | dict[Name, Text] | None = None  # tables, COCO's JSON, shards: all, or those of each split
    columns: Columns = Columns()
    lists: dict[Name, Text] = {}  # a file of the project for each split, with an id or a path a line
    include: tuple[Text, ...] = ()  # patterns of paths as in a .gitignore; none: all
    exclude: tuple[Text, ...] = ()  # further patterns, and list files of the project, which end in .txt
    classes: tuple[Text, ...] | dict[Text, Text] = ()  # in this order; {name: its name in the data set}
    objects: bool = False  # a row is an annotated box, not an image
    margin: NonNegative = 0.1  # around a box, as a share of its sides
    listing: bool = False  # notice changed images by sizes and times, where DVC would hash them all
    sample: Sample | None = None  # set: the devkit at `root` is drawn by the program

    @property
    def is_listed(self) -> bool:
        """Whether a list of the images, and not DVC, notices changed ones: DVC cannot look into a bucket."""
        return self.listing or is_remote(self.root)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The chosen classes, as the data set names them."""
        return tuple(self.classes.values()) if isinstance(self.classes, dict) else self.classes

    @property
    def list_files(self) -> list[str]:
        """The files of the project that say which images count, each once."""
        return list(dict.fromkeys([*self.lists.values(), *(text for text in self.exclude if is_list(text))]))

    def splits(self, also: Collection[str] = ()) -> list[str]:
        """The names of the splits that are used, and of those in `also`, each once."""
        return list(dict.fromkeys(name for name in (self.train, self.test, self.val, *also) if name))


class Preprocess(_Section, frozen=True, kw_only=True):
    """What is done to an image before the network sees it: resized, then the centre cropped, or padded."""

    resize: Count
    crop: Count
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    mode: Literal["crop", "squash", "pad"] = "crop"  # `resize`: of the short side, both, the long side
    fill: tuple[Byte, Byte, Byte] = (0, 0, 0)  # the colour of what `pad` adds


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


class Layer(_Section, frozen=True, kw_only=True):
    """A node of a network's graph, and what is made of its value for one image."""

    node: str
    pool: Pool = "flatten"

    def __str__(self) -> str:
        return self.node if self.pool == "flatten" else f"{self.node}, {self.pool}"


class Model(_Section, frozen=True, kw_only=True):
    """An architecture, where its weights come from, and the layers to store."""

    architecture: str
    weights: str  # random | imagenet | pretrained | the name of another model | a file in data/models
    sha256: Sha256 | None = None
    classes: tuple[Annotated[str, Meta(min_length=1)], ...] = ()  # of a file's outputs, in their order
    arguments: dict[str, Any] = {}  # of the function that builds the network
    layers: Annotated[dict[str, str | Layer], Meta(min_length=1)]
    preprocess: Preprocess | Literal["auto"] = "auto"  # auto: what the weights were trained with
    train: Train | None = None

    @property
    def file(self) -> str | None:
        """The file of the project that the architecture is made from, where there is one."""
        found = re.fullmatch(r"(?:(.+\.py):\w+|open_clip/(.+\.json))", self.architecture)
        return (found[1] or found[2]) if found else None

    @property
    def nodes(self) -> dict[str, Layer]:
        """What each layer is."""
        return {
            name: layer if isinstance(layer, Layer) else Layer(node=layer)
            for name, layer in self.layers.items()
        }

    @property
    def transform(self) -> Preprocess:
        """`preprocess` of a model whose `auto` has been settled (`models.preprocessing`)."""
        assert isinstance(self.preprocess, Preprocess)
        return self.preprocess

    @property
    def weights_are_a_file(self) -> bool:
        """Whether `weights` names a checkpoint in data/models."""
        return self.weights.endswith((".pth", ".pt", ".bin", ".ckpt", ".pth.tar", ".safetensors"))


class Extract(_Section, frozen=True, kw_only=True):
    """How features are computed and stored."""

    device: Device | Annotated[tuple[OneDevice, ...], Meta(min_length=1)] = "auto"  # several: a process each
    precision: Precision = "fp32"
    dtype: Literal["float32", "float16"] = "float32"
    decoder: Literal["pillow", "turbojpeg", "nvjpeg"] = "pillow"
    batch_size: Count = 32
    workers: Annotated[int, Meta(ge=0)] | Literal["auto"] = "auto"
    memory_gb: Positive = 4.0  # what one image may take to decode; all processes together about twice as much
    on_bad_image: Literal["fail", "skip"] = "fail"
    cache: Annotated[str, Meta(min_length=1)] = ".cache/features"
    read_also: tuple[Annotated[str, Meta(min_length=1)], ...] = ()  # further row caches, never written to
    runner: Literal["local", "ray"] = "local"
    mixed: bool = False  # rows of a layer may come from several kinds of device

    @property
    def devices(self) -> tuple[str, ...]:
        """As they are named: one, which may stand for several, or those of a list."""
        return (self.device,) if isinstance(self.device, str) else self.device


class Index(_Section, frozen=True, kw_only=True):
    """Which layers get an index, and which kind."""

    of: LayerRefs = ()
    engine: Literal["faiss", "lance"] = "faiss"  # what holds it: a file in memory, or a folder on the disk
    factory: str = "Flat"
    metric: Metric = "cosine"
    memory_gb: Positive = 4.0  # what `factory: auto` may spend on one index
    queries: Count = 200  # held-out queries of the quality report
    seed: Seed = 0


class Neighbors(_Section, frozen=True, kw_only=True):
    """The neighbor graphs, the sheets and the retrieval measures."""

    of: LayerRefs = ()
    depth: Count = 100  # of the graph: so many nearest rows in each split are kept of every row
    exact_up_to: Count = (
        200_000  # rows searched; beyond it an index finds the neighbors, and its recall is told
    )
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

    of: LayerRef | None = None
    threshold: Annotated[float, Meta(gt=-1, le=1)] = 0.9  # cosine similarity from which a pair is listed


class Tsne(_Section, frozen=True, kw_only=True):
    """The t-SNE maps."""

    of: LayerRefs = ()
    sample: Count = 1000
    perplexity: Positive = 30.0
    seed: Seed = 0
    backend: Literal["auto", "sklearn", "opentsne"] = "auto"
    stability_seeds: Annotated[int, Meta(ge=0)] = 2  # further maps to measure the stability with
    keep: bool = False  # place new images into the map that there was


class Maps(_Section, frozen=True, kw_only=True):
    """Further maps beside t-SNE's, one's own points among them, and clusters of images."""

    of: LayerRefs = ()
    methods: tuple[Literal["pca", "umap", "pacmap"], ...] = ("pca", "umap", "pacmap")
    points: dict[Name, Text] = {}  # one's own: a CSV of the project with id, x and y
    neighbors: Annotated[int, Meta(ge=2)] | None = None  # that UMAP and PaCMAP look at; None: 15 and 10
    clusters: Literal["hdbscan", "kmeans", "none"] = "hdbscan"
    min_cluster_size: Annotated[int, Meta(ge=2)] = 10  # hdbscan
    k: Annotated[int, Meta(ge=2)] = 20  # kmeans
    sample: Count = 1000
    seed: Seed = 0
    stability_seeds: Annotated[int, Meta(ge=0)] = 2


class Compare(_Section, frozen=True, kw_only=True):
    """How alike the images lie in two layers, for every pair of layers."""

    of: LayerRefs = ()
    k: Count = 10  # neighbors of an image that are compared
    bootstrap: Count = 1000
    permutations: Count = 20  # of the images of one layer, for the one measure whose chance has no formula
    seed: Seed = 0


class LabelIssues(_Section, frozen=True, kw_only=True):
    """Labels that are likely missing or wrong, told by probes that did not learn from them."""

    of: tuple[str, ...] = ()  # probes
    listed: Count = 200  # of each split and kind
    least: Fraction = 0.2  # probability from which a label is listed
    threshold: Annotated[float, Meta(gt=-1, le=1)] = 0.95  # cosine similarity of near-duplicates
    seed: Seed = 0


class Outliers(_Section, frozen=True, kw_only=True):
    """Images that lie far from all others, that are typical of a class, or that show next to nothing."""

    of: LayerRefs = ()
    k: Count = 10  # the distance to this neighbor counts
    listed: Count = 50


class Derived(_Section, frozen=True, kw_only=True):
    """A layer that is computed from a stored one, by steps that are fitted on the training split."""

    of: LayerRef
    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]


class Probe(_Section, frozen=True, kw_only=True):
    """A classifier on one stored layer."""

    of: LayerRef
    kind: Literal["linear", "knn", "zeroshot"] = "linear"
    C: Annotated[tuple[Positive, ...], Meta(min_length=1)] = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # linear
    folds: Annotated[int, Meta(ge=2, le=100)] = 5  # linear
    k: Count = 20  # knn
    temperature: Positive = 0.07  # knn
    templates: Annotated[tuple[str, ...], Meta(min_length=1)] = ("a photo of a {}.",)  # zeroshot
    shots: tuple[Count, ...] = ()  # linear and knn: measured again with so many examples a class
    repeats: Count = 5  # of each number of shots
    seed: Seed = 0


class Ap(_Section, frozen=True, kw_only=True):
    """The average-precision tables."""

    of: tuple[str, ...] = ()
    protocols: Annotated[tuple[Protocol, ...], Meta(min_length=1)] = ("voc2007", "area")
    bootstrap: Count = 1000
    seed: Seed = 0


class Params(_Section, frozen=True, kw_only=True):
    """The whole of params.yaml; every section but the first two may be left out."""

    dataset: Dataset
    models: Annotated[dict[str, Model], Meta(min_length=1)]
    extract: Extract = Extract()
    index: Index = Index()
    neighbors: Neighbors = Neighbors()
    duplicates: Duplicates = Duplicates()
    tsne: Tsne = Tsne()
    maps: Maps = Maps()
    compare: Compare = Compare()
    label_issues: LabelIssues = LabelIssues()
    outliers: Outliers = Outliers()
    derive: dict[str, Derived] = {}
    probe: dict[str, Probe] = {}
    ap: Ap = Ap()

    @property
    def trained_on(self) -> list[str]:
        """The splits that models name to train on, by name."""
        named = (model.train.split for model in self.models.values() if model.train)
        return sorted({split for split in named if split})

    @property
    def doubting(self) -> list[str]:
        """The layers of the probes that `label_issues` names, which get a neighbor graph by cosine."""
        named = (self.probe[name].of for name in self.label_issues.of if name in self.probe)
        return list(dict.fromkeys(named))

    def model(self, name: str) -> Model:
        """The model of that name; `UserError` if there is none."""
        if name not in self.models:
            raise UserError(f"no model {name!r} in params.yaml; it has {', '.join(self.models)}")
        return self.models[name]

    def source(self, reference: str) -> str:
        """The layer of a model that a layer is computed from: itself, unless it is derived."""
        names = self.derived_by(reference)
        return self.derive[names[0]].of if names else reference

    def derived_by(self, reference: str) -> tuple[str, ...]:
        """The names in `derive` on the way from that layer of a model to this one, in order."""
        name, _ = split_reference(reference)
        return (*self.derived_by(self.derive[name].of), name) if name in self.derive else ()


def split_reference(reference: str) -> tuple[str, str]:
    """The model and the layer of a `<model>/<layer>`; `UserError` if it is none."""
    model, _, layer = reference.partition("/")
    if not model or not layer or "/" in layer:
        raise UserError(f"{reference!r} names no layer; write <model>/<layer>")
    return model, layer
