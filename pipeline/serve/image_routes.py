"""`/api/images`: which images there are, and how they look."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from .images import find_image
from .problems import Problem
from .service import Shared, Store

router = APIRouter()


@router.get("/api/images")
def images(
    store: Store,
    class_: Annotated[list[str], Query(alias="class", default_factory=list)],
    split: str | None = None,
    prefix: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> dict[str, Any]:
    """The images of a split, in its order, of some classes or with ids that begin so."""
    split = store.splits[0] if split is None else split
    file = next((file for (_, own), file in store.features.items() if own == split), None)
    if file is None:
        raise Problem(404, f"no split {split}; there are {', '.join(store.splits)}")
    rows = [row for row, name in enumerate(file.ids.tolist()) if name.startswith(prefix)]
    if class_:
        if unknown := [name for name in class_ if name not in file.classes]:
            raise Problem(404, f"no class {unknown[0]}; there are {', '.join(file.classes)}")
        shown = (file.labels[:, [file.classes.index(name) for name in class_]] == 1).any(axis=1)
        rows = [row for row in rows if shown[row]]
    page = rows[offset : offset + limit]
    return {
        "state": store.state,
        "split": split,
        "total": len(rows),
        "images": [{"id": str(file.ids[row]), "labels": list(file.labels_of(row))} for row in page],
    }


@router.get("/api/images/{id:path}/thumb")
def thumb(
    request: Request,
    store: Store,
    service: Shared,
    id: str,
    split: str | None = None,
    size: Annotated[int, Query(ge=1, le=1024)] = 128,
) -> Response:
    """A small picture of an image, as WebP."""
    if not request.scope["raw_path"].endswith(b"/thumb"):  # that slash belongs to the id
        return image(store, f"{id}/thumb", split)
    return Response(service.images.thumbnail(find_image(store, id, split), size), media_type="image/webp")


@router.get("/api/images/{id:path}")
def image(store: Store, id: str, split: str | None = None) -> Response:
    """An image's file as it is."""
    from ..images.image_formats import open_image

    data = find_image(store, id, split).read()
    return Response(data, media_type=open_image(data).get_format_mimetype())
