"""What there is to ask, and what has been found: the store, its maps and the results; and the page."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from starlette.responses import HTMLResponse, Response

from ..results.record import record_names, record_text
from .answered import json_response, tag_of, unchanged
from .described import described
from .documented import HealthAnswer, MapAnswer, StoreAnswer
from .maps import arrow_map, plain_map
from .service import Asking
from .typed_routes import Endpoint, Nothing

_ARROW = "application/vnd.apache.arrow.stream"
_JSON = "application/json"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class WhichMap(Struct):
    """A map."""

    model: str
    layer: str
    method: str = "tsne"


class Name(Struct):
    """A result."""

    name: str


def page(asking: Asking, _: Nothing) -> Response:
    """The page, whose state is its link."""
    from .page import page_of

    html = page_of(asking.store, _told(asking), asking.request.query_params.multi_items())
    # the policy of its scripts stands in the page
    return HTMLResponse(html, headers={"Content-Security-Policy": "frame-ancestors 'none'"})


def store(asking: Asking, _: Nothing) -> Response:
    """What there is to ask: layers, splits, classes, results, and what is missing."""
    told = _told(asking)
    tag = tag_of(told)
    return unchanged(asking.request, tag) or json_response(told, {"ETag": tag})


def layer_map(asking: Asking, which: WhichMap) -> Response:
    """A map of a layer.

    A stream of Arrow with id, x, y and labels, in the map's own coordinates; or JSON, where `Accept` says so.
    """
    found = asking.service.maps.map(asking.store, f"{which.model}/{which.layer}", which.method)
    as_json = _JSON in asking.request.headers.get("accept", "")
    tag = tag_of(asking.store.state, found.digest, as_json)
    headers = {"ETag": tag, "Vary": "Accept"}
    if known := unchanged(asking.request, tag):
        return known
    if as_json:
        return json_response(plain_map(asking.store, found), headers)
    return Response(arrow_map(asking.store, found), headers=headers, media_type=_ARROW)


def results(asking: Asking, _: Nothing) -> Response:
    """The names of the results."""
    return json_response(record_names(asking.store.project.results))


def result(asking: Asking, which: Name) -> Response:
    """A result's record, as it stands."""
    return Response(record_text(asking.store.project.results, which.name), media_type=_JSON)


async def health(asking: Asking, _: Nothing) -> Response:
    """Whether the service is there."""
    return json_response({"status": "ok"})


async def metrics(asking: Asking, _: Nothing) -> Response:
    """What the service counts, in the format of Prometheus."""
    return Response(asking.service.metrics.text(), media_type=_PROMETHEUS)


def _told(asking: Asking) -> dict[str, Any]:
    service = asking.service
    return described(asking.store, service.maps, service.limits, service.live.trouble)


PAGE = Endpoint("GET", "/", page)
ENDPOINTS = (
    Endpoint("GET", "/api/store", store, gives={_JSON: StoreAnswer}),
    Endpoint(
        "GET",
        "/api/map/{model}/{layer}",
        layer_map,
        WhichMap,
        {_ARROW: None, _JSON: MapAnswer},
        (404,),
    ),
    Endpoint("GET", "/api/results", results, gives={_JSON: list[str]}),
    Endpoint("GET", "/api/results/{name:path}", result, Name, {_JSON: dict[str, Any]}, (400, 404)),
    Endpoint("GET", "/healthz", health, gives={_JSON: HealthAnswer}),
    Endpoint("GET", "/metrics", metrics, gives={_PROMETHEUS: str}),
)
