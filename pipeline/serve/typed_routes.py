"""Routes whose parameters are read into a struct; the page of OpenAPI is made from the same."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_origin

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .metrics import TAKEN
from .problems import Problem
from .service import Asking

Answer = Callable[[Asking, Any], Response | Awaitable[Response]]


class Nothing(msgspec.Struct):
    """No parameters."""


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A route.

    Attributes
    ----------
    method, path : str
        `path` as Starlette writes it.
    answer : function
        Of the request and its parameters; one that is no coroutine runs on a thread.
    parameters : type
        A struct; a field that the path names is read from there, any other from the query string.
    gives : {media type: type, or None for bytes}
    problems : tuple of int
        Statuses it may answer with, beside those that any route may.
    body : {media type: type, or None for bytes}
    """

    method: str
    path: str
    answer: Answer
    parameters: type[msgspec.Struct] = Nothing
    gives: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problems: tuple[int, ...] = ()
    body: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def route(self) -> Route:
        """As Starlette takes it."""

        async def answered(request: Request) -> Response:
            request.scope[TAKEN] = self.path
            asking, parameters = Asking(request), _read(request, self.parameters)
            if inspect.iscoroutinefunction(self.answer):
                response: Response = await self.answer(asking, parameters)
                return response
            return await anyio.to_thread.run_sync(self.answer, asking, parameters)  # type: ignore[arg-type]

        return Route(self.path, answered, methods=[self.method])


def _read(request: Request, kind: type[msgspec.Struct]) -> msgspec.Struct:
    """The parameters of a request; `Problem` 422 if one is not of its type."""
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name in request.path_params:
            given[name] = request.path_params[name]
        elif name in request.query_params:
            many = get_origin(field.type) is list
            given[name] = request.query_params.getlist(name) if many else request.query_params[name]
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(422, str(error)) from None
