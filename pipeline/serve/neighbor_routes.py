"""`/api/neighbors`: what is near."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ..params import Metric
from ..questions.open_store import OpenStore
from ..questions.plain import plain
from .answered import json_response, tag_of, unchanged
from .asked import Asked
from .documented import NeighborsAnswer, problems
from .problems import Problem
from .service import Service, Shared, Store

router = APIRouter(tags=["neighbors"])

_Names = Annotated[list[str], Query(default_factory=list)]
_Classes = Annotated[
    list[str], Query(alias="class", default_factory=list, description="Any of several classes.")
]
_Many = list[str] | str


class JsonBody(msgspec.Struct, forbid_unknown_fields=True):
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


_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": msgspec.json.schema(JsonBody)["$defs"]["JsonBody"]},
        "application/octet-stream": _IMAGE,
        "image/*": _IMAGE,
    },
}


@router.get("/api/neighbors", response_model=NeighborsAnswer, responses=problems(400, 404, 409, 503))
async def neighbors(
    request: Request,
    store: Store,
    service: Shared,
    id: _Names,
    text: _Names,
    minus: _Names,
    class_: _Classes,
    model: str | None = None,
    layer: str | None = None,
    k: int = 4,
    split: str | None = None,
    metric: Metric | None = None,
) -> Response:
    """The nearest images to what `id` and `text` give together, less `minus`: each an id, else a text."""
    asked = Asked(
        model, layer, ids=id, texts=text, minus=minus, k=k, classes=class_, split=split, metric=metric
    )
    tag = tag_of(store.state, model, layer, id, text, minus, k, class_, split, metric)
    return unchanged(request, tag) or await _answered(service, store, asked, {"ETag": tag})


@router.post(
    "/api/neighbors",
    response_model=NeighborsAnswer,
    responses=problems(400, 403, 404, 408, 409, 413, 415, 503),
    openapi_extra={"requestBody": _BODY},
)
async def neighbors_of_body(
    request: Request,
    store: Store,
    service: Shared,
    id: _Names,
    text: _Names,
    minus: _Names,
    class_: _Classes,
    model: str | None = None,
    layer: str | None = None,
    k: int = 4,
    split: str | None = None,
    metric: Metric | None = None,
) -> Response:
    """The same of a question in JSON, or of an image in the body and what the query string says beside it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and kind != "application/octet-stream" and not kind.startswith("image/"):
        raise Problem(415, f"a body of type {kind or 'nothing'}; send an image or application/json")
    async with service.bodies.of(request) as body:
        if kind == "application/json":
            return await _answered(service, store, _from_json(body))
        asked = Asked(
            model, layer, id, text, (), [body], minus, k=k, classes=class_, split=split, metric=metric
        )
        return await _answered(service, store, asked)


def _from_json(body: bytes) -> Asked:
    try:
        return msgspec.json.decode(body, type=JsonBody).asked()
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(422, f"not the JSON of a question: {error}") from None


async def _answered(
    service: Service, store: OpenStore, asked: Asked, headers: dict[str, str] | None = None
) -> Response:
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
