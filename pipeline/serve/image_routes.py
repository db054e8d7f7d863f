"""`/api/images`: which images there are, and how they look."""

from __future__ import annotations

import functools
from typing import Annotated

import anyio.to_thread
import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from .answered import json_response, unchanged
from .documented import ImagesAnswer
from .images import StoredImage, find_image
from .listing import list_images
from .service import Asking
from .typed_routes import Endpoint

_State = Annotated[str | None, Meta(description="The store's: then the answer may be kept for good.")]


class WhichImages(Struct):
    """Some images of a split."""

    class_: list[str] = msgspec.field(name="class", default=[])
    split: str | None = None
    prefix: str = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    offset: Annotated[int, Meta(ge=0, lt=1 << 40)] = 0


class WhichImage(Struct):
    """An image, of the first split that has it by default."""

    id: str
    split: str | None = None
    state: _State = None


class WhichThumb(Struct):
    """A small picture of an image, of so many pixels or a few more."""

    id: str
    split: str | None = None
    state: _State = None
    size: Annotated[int, Meta(ge=1, le=1024)] = 128


def images(asking: Asking, which: WhichImages) -> Response:
    """The images of a split in its order: those of some classes, or whose ids begin so."""
    found = list_images(asking.store, which.split, which.class_, which.prefix, which.limit, which.offset)
    return json_response(found)


async def thumb(asking: Asking, which: WhichThumb) -> Response:
    """A small picture of an image."""
    if not asking.request.scope["raw_path"].endswith(b"/thumb"):  # that slash belongs to the id
        return await image(asking, WhichImage(f"{which.id}/thumb", which.split, which.state))
    found = find_image(asking.store, which.id, which.split)
    headers = _headers(asking, found, which.state, f"-{which.size}")
    if known := unchanged(asking.request, headers["ETag"]):
        return known
    make = functools.partial(asking.service.images.thumbnail, found, which.size)
    data = await anyio.to_thread.run_sync(make, limiter=asking.service.pictures)
    return Response(data, headers=headers, media_type="image/webp")


async def image(asking: Asking, which: WhichImage) -> Response:
    """An image's file as it is."""
    found = find_image(asking.store, which.id, which.split)
    headers = _headers(asking, found, which.state)
    if known := unchanged(asking.request, headers["ETag"]):
        return known

    def read() -> tuple[bytes, str]:
        from ..images.image_formats import open_image

        data = found.read()
        return data, open_image(data).get_format_mimetype() or "application/octet-stream"

    data, kind = await anyio.to_thread.run_sync(read, limiter=asking.service.pictures)
    return Response(data, headers=headers, media_type=kind)


def _headers(asking: Asking, found: StoredImage, state: str | None, of: str = "") -> dict[str, str]:
    keep = "private, max-age=31536000, immutable" if state == asking.store.state else "no-cache"
    return {"ETag": f'"{found.digest.hex()}{of}"', "Cache-Control": keep}


ENDPOINTS = (
    Endpoint("GET", "/api/images", images, WhichImages, {"application/json": ImagesAnswer}, (404,)),
    Endpoint("GET", "/api/images/{id:path}/thumb", thumb, WhichThumb, {"image/webp": None}, (404,)),
    Endpoint("GET", "/api/images/{id:path}", image, WhichImage, {"image/*": None}, (404,)),
)
