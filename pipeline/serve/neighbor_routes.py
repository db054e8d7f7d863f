"""`/api/neighbors`: what is near."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct
from starlette.responses import Response

from ..params import Metric
from ..questions.plain import plain
from .answered import json_response, tag_of, unchanged
from .asked import Asked
from .documented import NeighborsAnswer
from .problems import Problem
from .service import Asking
from .typed_routes import Endpoint

_Many = list[str] | str


class Link(Struct):
    """A question in a query string: all terms are one question."""

    id: list[str] = []
    text: list[str] = []
    minus: list[str] = []  # each an id, else a text
    model: str | None = None
    layer: str | None = None
    k: Annotated[int, Meta(description="How many neighbors.")] = 4
    class_: list[str] = msgspec.field(name="class", default=[])
    split: str | None = None
    metric: Metric | None = None

    def asked(self, images: tuple[bytes, ...] = ()) -> Asked:
        """The question, with the images that came beside it."""
        return Asked(
            self.model,
            self.layer,
            ids=self.id,
            texts=self.text,
            images=images,
            minus=self.minus,
            k=self.k,
            classes=self.class_,
            split=self.split,
            metric=self.metric,
        )


class JsonQuestion(Struct, forbid_unknown_fields=True):
    """A question in JSON; what is a list may be a single one."""

    model: str | None = None
    layer: str | None = None
    id: _Many = []
    ids: _Many = []
    text: _Many = []
    vector: list[float] | None = None
    minus: _Many = []
    k: int = 4
    class_: _Many = msgspec.field(name="class", default=[])
    split: str | None = None
    metric: Metric | None = None

    def asked(self) -> Asked:
        """The question."""
        return Asked(
            self.model,
            self.layer,
            ids=[*_each(self.id), *_each(self.ids)],
            texts=_each(self.text),
            vectors=[] if self.vector is None else [np.array(self.vector, np.float64)],
            minus=_each(self.minus),
            k=self.k,
            classes=_each(self.class_),
            split=self.split,
            metric=self.metric,
        )


async def neighbors(asking: Asking, link: Link) -> Response:
    """The nearest images to a question.

    What `id` and `text` give together, less `minus`, of which each is an id, else a text.
    """
    tag = tag_of(asking.store.state, msgspec.to_builtins(link))
    return unchanged(asking.request, tag) or await _answered(asking, link.asked(), {"ETag": tag})


async def neighbors_of_body(asking: Asking, link: Link) -> Response:
    """The nearest images to a question in JSON, or to an image.

    An image is the body itself; what is asked beside it stands in the query string.
    """
    kind = asking.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/octet-stream") and not kind.startswith("image/"):
        raise Problem(415, f"a body of type {kind or 'nothing'}; send an image or application/json")
    async with asking.service.bodies.of(asking.request) as body:
        return await _answered(
            asking, _from_json(body) if kind == "application/json" else link.asked((body,))
        )


def _from_json(body: bytes) -> Asked:
    try:
        return msgspec.json.decode(body, type=JsonQuestion).asked()
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(422, f"not the JSON of a question: {error}") from None


async def _answered(asking: Asking, asked: Asked, headers: dict[str, str] | None = None) -> Response:
    service, store = asking.service, asking.store
    asked.check(service.limits)
    async with service.turn():
        answer = await service.answers.answer(
            store,
            asked.question(store),
            asked.reference(store),
            asked.k,
            asked.classes,
            split=asked.split,
            metric=asked.metric,
        )
    return json_response(plain(answer), headers)


def _each(given: _Many) -> list[str]:
    return [given] if isinstance(given, str) else given


_MAY = (400, 404, 409, 503)
_IMAGES = dict.fromkeys(["application/octet-stream", "image/*"])
ENDPOINTS = (
    Endpoint("GET", "/api/neighbors", neighbors, Link, {"application/json": NeighborsAnswer}, _MAY),
    Endpoint(
        "POST",
        "/api/neighbors",
        neighbors_of_body,
        Link,
        {"application/json": NeighborsAnswer},
        (*_MAY, 408, 413, 415),
        {"application/json": JsonQuestion, **_IMAGES},
    ),
)
