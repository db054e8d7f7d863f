"""What there is to ask, and what has been found: the store, its maps and the results; and the page."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from ..questions.open_store import OpenStore
from ..results.record import record_names, record_text
from .answered import json_response, tag_of, unchanged
from .described import described
from .documented import HealthAnswer, MapAnswer, StoreAnswer, content, problems
from .maps import arrow_map, plain_map
from .service import Service, Shared, Store

router = APIRouter(tags=["store"])
_ARROW = "application/vnd.apache.arrow.stream"


@router.get("/", include_in_schema=False)
def page(request: Request, store: Store, service: Shared) -> Response:
    """The page, whose state is its link."""
    from .page import page_of

    html = page_of(store, _told(store, service), request.query_params.multi_items())
    # the policy of its scripts stands in the page
    return HTMLResponse(html, headers={"Content-Security-Policy": "frame-ancestors 'none'"})


@router.get("/api/store", response_model=StoreAnswer, responses=problems())
def store_(request: Request, store: Store, service: Shared) -> Response:
    """What there is to ask: layers, splits, classes, results, and what is missing."""
    told = _told(store, service)
    tag = tag_of(told)
    return unchanged(request, tag) or json_response(told, {"ETag": tag})


@router.get(
    "/api/map/{model}/{layer}",
    response_model=MapAnswer,
    responses={200: content(_ARROW, "id, x, y and labels, in the map's own coordinates")} | problems(404),
)
def map_(
    request: Request, store: Store, service: Shared, model: str, layer: str, method: str = "tsne"
) -> Response:
    """A map of a layer: a stream of Arrow, or JSON where `Accept` asks for it."""
    found = service.maps.map(store, f"{model}/{layer}", method)
    as_json = "application/json" in request.headers.get("accept", "")
    tag = tag_of(store.state, found.digest, as_json)
    headers = {"ETag": tag, "Vary": "Accept"}
    if known := unchanged(request, tag):
        return known
    if as_json:
        return json_response(plain_map(store, found), headers)
    return Response(arrow_map(store, found), headers=headers, media_type=_ARROW)


@router.get("/api/results", response_model=list[str], responses=problems())
def results(store: Store) -> Response:
    """The names of the results."""
    return json_response(record_names(store.project.results))


@router.get("/api/results/{name:path}", response_model=dict[str, Any], responses=problems(400, 404))
def result(store: Store, name: str) -> Response:
    """A result's record, as it stands."""
    return Response(record_text(store.project.results, name), media_type="application/json")


@router.get("/healthz", response_model=HealthAnswer, tags=["watch"])
async def health() -> Response:
    """Whether the service is there."""
    return json_response({"status": "ok"})


@router.get("/metrics", response_class=Response, responses=problems(), tags=["watch"])
async def metrics(service: Shared) -> Response:
    """What the service counts, in the format of Prometheus."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _told(store: OpenStore, service: Service) -> dict[str, Any]:
    return described(store, service.maps, service.limits, service.live.trouble)
