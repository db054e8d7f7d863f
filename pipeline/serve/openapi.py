"""The page of OpenAPI 3.1, made from the routes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from .. import __version__
from .documented import ProblemAnswer
from .typed_routes import Endpoint

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
_ANY = (401, 403, 421, 422, 429)  # any route may answer
_BYTES = {"type": "string", "format": "binary"}
_REF = "#/components/schemas/{name}"


def openapi(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """All routes, with what they take and give."""
    given = [kind for each in endpoints for kind in (*each.gives.values(), *each.body.values()) if kind]
    kinds = list(dict.fromkeys([*given, ProblemAnswer]))
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        path = re.sub(r":\w+\}", "}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pool5",
            "version": __version__,
            "description": "A project's store: what is near, in several representations.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(endpoint: Endpoint, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    first, _, rest = inspect.cleandoc(endpoint.answer.__doc__ or "").partition("\n")
    problem = {"application/problem+json": {"schema": schema_of[ProblemAnswer]}}
    answer = {"description": "the answer", "content": _content(endpoint.gives, schema_of)}
    told: dict[str, Any] = {
        "summary": first,
        "operationId": endpoint.answer.__name__,
        "parameters": list(_parameters(endpoint)),
        "responses": {"200": answer}
        | {
            str(status): {"description": _ABOUT[status], "content": problem}
            for status in sorted({*_ANY, *endpoint.problems})
        },
    }
    if rest.strip():
        told["description"] = rest.strip()
    if endpoint.body:
        told["requestBody"] = {"required": True, "content": _content(endpoint.body, schema_of)}
    return told


def _parameters(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    kind = endpoint.parameters
    schema = msgspec.json.schema(kind)
    if "$ref" in schema:
        schema = schema["$defs"][kind.__name__]
    for name, own in schema.get("properties", {}).items():
        in_path = f"{{{name}" in endpoint.path
        yield {"name": name, "in": "path" if in_path else "query", "required": in_path, "schema": own}


def _content(kinds: Mapping[str, Any], schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    return {media: {"schema": schema_of[kind] if kind else _BYTES} for media, kind in kinds.items()}
