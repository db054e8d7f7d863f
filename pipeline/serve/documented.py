"""The answers' forms, for the page of OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ..params import Metric


class ProblemAnswer(Struct):
    """Why there is no answer, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str


class TermAnswer(Struct):
    """What a question is made of."""

    what: str
    kind: Literal["id", "image", "text", "vector"]
    minus: bool


class QuestionAnswer(Struct):
    """A question, as it was taken."""

    text: str
    terms: list[TermAnswer]


class NeighborAnswer(Struct):
    """An image that was found.

    `as_near` is the share of random pairs of images that are as near or nearer; null for sums and words.
    """

    rank: int
    id: str
    distance: float
    labels: list[str]
    as_near: float | None


class NeighborsAnswer(Struct):
    """What a layer answers, nearest first."""

    state: Annotated[str, Meta(description="Of the store; answers with the same are of one state.")]
    layer: str
    split: str
    metric: Metric
    k: int
    question: QuestionAnswer
    searched: Annotated[int, Meta(description="Images that could be found.")]
    pairs: Annotated[int, Meta(description="Random pairs that `as_near` is a share of.")]
    layer_digest: str
    neighbors: list[NeighborAnswer]


class ImageAnswer(Struct):
    """An image of a split."""

    id: str
    labels: list[str]


class ImagesAnswer(Struct):
    """Some images of a split, and how many there are of the kind."""

    state: str
    split: str
    total: int
    images: list[ImageAnswer]


class SplitAnswer(Struct):
    """A split."""

    name: str
    images: int


class MapTitle(Struct):
    """A map of a layer."""

    method: str
    title: str
    images: int


class LayerAnswer(Struct):
    """A stored layer; `words` and `images` say whether it can be asked with texts and with image files."""

    layer: str
    model: str
    name: str
    splits: list[str]
    width: int
    dtype: str
    words: bool
    images: bool
    derived_of: str | None
    key: Annotated[dict[str, Any], Meta(description="All that decides a value of it.")]
    digest: str
    maps: list[MapTitle]
    graph: bool


class LimitsAnswer(Struct):
    """What one request may ask for."""

    k: int
    body_bytes: int
    pixels: int
    ids: int


class StoreAnswer(Struct):
    """What there is to ask."""

    name: str
    state: str
    metric: Metric
    splits: list[SplitAnswer]
    split: str
    classes: list[str]
    class_colours: list[str]
    layers: list[LayerAnswer]
    results: list[str]
    gaps: list[str]
    limits: LimitsAnswer


class MapAnswer(Struct):
    """A map in a square of side 1, y downward; labels are numbers of the store's classes."""

    state: str
    split: str
    method: str
    title: str
    ids: list[str]
    x: list[float]
    y: list[float]
    labels: list[list[int]]


class HealthAnswer(Struct):
    """That the service is there."""

    status: Literal["ok"]
