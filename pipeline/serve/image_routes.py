"""`/api/images`: which images there are, and how they look."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ..questions.open_store import OpenStore
from .answered import json_response, unchanged
from .documented import ImagesAnswer, content, problems
from .images import StoredImage, find_image
from .listing import list_images
from .service import Shared, Store

router = APIRouter(tags=["images"])

_Classes = Annotated[
    list[str], Query(alias="class", default_factory=list, description="Any of several classes.")
]


@router.get("/api/images", response_model=ImagesAnswer, responses=problems(404))
def images(
    store: Store,
    class_: _Classes,
    split: str | None = None,
    prefix: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, lt=1 << 40)] = 0,
) -> Response:
    """The images of a split in its order: those of some classes, or whose ids begin so."""
    return json_response(list_images(store, split, class_, prefix, limit, offset))


@router.get(
    "/api/images/{id:path}/thumb",
    response_class=Response,
    responses={200: content("image/webp", "the picture")} | problems(404),
)
async def thumb(
    request: Request,
    store: Store,
    service: Shared,
    id: str,
    split: str | None = None,
    size: Annotated[int, Query(ge=1, le=1024)] = 128,
    state: str | None = None,
) -> Response:
    """A small picture of an image, as WebP. With the store's `state` in its link it may be kept for good."""
    if not request.scope["raw_path"].endswith(b"/thumb"):  # that slash belongs to the id
        return await image(request, store, service, f"{id}/thumb", split, state)
    found = find_image(store, id, split)
    headers = _headers(store, found, state, f"-{size}")
    if known := unchanged(request, headers["ETag"]):
        return known

    def made() -> bytes:
        return service.images.thumbnail(found, size)

    data = await anyio.to_thread.run_sync(made, limiter=service.pictures)
    return Response(data, headers=headers, media_type="image/webp")


@router.get(
    "/api/images/{id:path}",
    response_class=Response,
    responses={200: content("image/*", "the file")} | problems(404),
)
async def image(
    request: Request,
    store: Store,
    service: Shared,
    id: str,
    split: str | None = None,
    state: str | None = None,
) -> Response:
    """An image's file as it is."""
    found = find_image(store, id, split)
    headers = _headers(store, found, state)
    if known := unchanged(request, headers["ETag"]):
        return known

    def read() -> tuple[bytes, str]:
        from ..images.image_formats import open_image

        data = found.read()
        return data, open_image(data).get_format_mimetype() or "application/octet-stream"

    data, kind = await anyio.to_thread.run_sync(read, limiter=service.pictures)
    return Response(data, headers=headers, media_type=kind)


def _headers(store: OpenStore, found: StoredImage, state: str | None, of: str = "") -> dict[str, str]:
    keep = "private, max-age=31536000, immutable" if state == store.state else "no-cache"
    return {"ETag": f'"{found.digest.hex()}{of}"', "Cache-Control": keep}
