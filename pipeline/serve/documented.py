"""The answers, for the page of OpenAPI; they are written by `msgspec`, not through these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class ProblemAnswer(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


class TermAnswer(BaseModel):
    """What a question is made of."""

    what: str
    kind: Literal["id", "image", "text", "vector"]
    minus: bool


class QuestionAnswer(BaseModel):
    """A question, as it was taken."""

    text: str
    terms: list[TermAnswer]


class NeighborAnswer(BaseModel):
    """An image that was found."""

    rank: int
    id: str
    distance: float
    labels: list[str]
    as_near: float | None = Field(
        description="The share of random pairs of images that are as near or nearer; null for sums and words."
    )


class NeighborsAnswer(BaseModel):
    """What a layer answers, nearest first."""

    state: str = Field(description="Of the store; answers with the same are of one state.")
    layer: str
    split: str
    metric: Literal["cosine", "l2", "ip"]
    k: int
    question: QuestionAnswer
    searched: int = Field(description="Images that could be found.")
    pairs: int = Field(description="Random pairs that `as_near` is a share of.")
    layer_digest: str
    neighbors: list[NeighborAnswer]


class ImageAnswer(BaseModel):
    """An image of a split."""

    id: str
    labels: list[str]


class ImagesAnswer(BaseModel):
    """Some images of a split, and how many there are of the kind."""

    state: str
    split: str
    total: int
    images: list[ImageAnswer]


class SplitAnswer(BaseModel):
    """A split."""

    name: str
    images: int


class MapTitle(BaseModel):
    """A map of a layer."""

    method: str
    title: str
    images: int


class LayerAnswer(BaseModel):
    """A stored layer."""

    layer: str
    model: str
    name: str
    splits: list[str]
    width: int
    dtype: str
    words: bool = Field(description="Whether it can be asked with texts.")
    images: bool = Field(description="Whether it can be asked with image files.")
    derived_of: str | None
    key: dict[str, Any] = Field(description="All that decides a value of it.")
    digest: str
    maps: list[MapTitle]
    graph: bool


class LimitsAnswer(BaseModel):
    """What one request may ask for."""

    k: int
    body_bytes: int
    pixels: int
    ids: int


class StoreAnswer(BaseModel):
    """What there is to ask."""

    name: str
    state: str
    metric: Literal["cosine", "l2", "ip"]
    splits: list[SplitAnswer]
    split: str
    classes: list[str]
    class_colours: list[str]
    layers: list[LayerAnswer]
    results: list[str]
    gaps: list[str]
    limits: LimitsAnswer


class MapAnswer(BaseModel):
    """A map in a square of side 1, y downward; labels are numbers of the store's classes."""

    state: str
    split: str
    method: str
    title: str
    ids: list[str]
    x: list[float]
    y: list[float]
    labels: list[list[int]]


class HealthAnswer(BaseModel):
    """That the service is there."""

    status: Literal["ok"]


_ABOUT = {
    400: "what cannot be asked",
    401: "a token is needed",
    403: "from another site's page",
    404: "no such id, layer, split, class or result",
    408: "the body came too slowly",
    409: "what is stored must be made anew",
    413: "too long",
    415: "neither an image nor JSON",
    421: "another host is meant",
    422: "a parameter or body that is not understood",
    429: "too many requests",
    503: "busy; ask again",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer instead, with what any route may."""
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}}
    return {
        status: {"description": _ABOUT[status], "content": schema, "model": ProblemAnswer}
        for status in sorted({401, 421, 422, 429, *statuses})
    }


def content(kind: str, about: str) -> dict[str, Any]:
    """An answer that is no JSON."""
    return {"description": about, "content": {kind: {"schema": {"type": "string", "format": "binary"}}}}
