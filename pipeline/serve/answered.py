"""Answers in JSON, and whether the one that a client has is still right (RFC 9110, 13.1.2)."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .. import __version__
from ..files.digests import digest_of


def tag_of(*decides: Any) -> str:
    """The ETag of an answer that is decided by these, in the plain types of JSON, and by the program."""
    return f'"{digest_of([__version__, *decides])}"'


def unchanged(request: Request, tag: str) -> Response | None:
    """The answer 304, if the client has what has this ETag."""
    has = request.headers.get("if-none-match", "")
    given = {each.strip().removeprefix("W/") for each in has.split(",")}
    return Response(status_code=304, headers={"ETag": tag}) if given & {tag, "*"} else None


def json_response(content: Any, headers: dict[str, str] | None = None) -> Response:
    """Plain types as JSON."""
    return Response(msgspec.json.encode(content), headers=headers, media_type="application/json")
