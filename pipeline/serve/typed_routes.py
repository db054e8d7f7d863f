"""Routes whose parameters are read into a struct; the page of OpenAPI is made from the same."""

from __future__ import annotations

import dataclasses
import functools
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
        fields = msgspec.structs.fields(self.parameters)  # once, as it reads the annotations anew each time
        names = {field.encode_name: get_origin(field.type) is list for field in fields}

        async def answered(request: Request) -> Response:
            request.scope[TAKEN] = self.path
            asking, parameters = Asking(request), self._read(request, names)
            if inspect.iscoroutinefunction(self.answer):
                response: Response = await self.answer(asking, parameters)
                return response
            answer = functools.partial(self.answer, asking, parameters)
            return await anyio.to_thread.run_sync(answer, limiter=asking.service.threads)  # type: ignore[arg-type]

        return Route(self.path, answered, methods=[self.method])

    def _read(self, request: Request, names: Mapping[str, bool]) -> msgspec.Struct:
        """The parameters of a request; `Problem` 422 if one is not of its type.

        `names` says of each whether it may be given several times.
        """
        given: dict[str, Any] = {}
        for name, many in names.items():
            if name in request.path_params:
                given[name] = request.path_params[name]
            elif name in request.query_params:
                given[name] = request.query_params.getlist(name) if many else request.query_params[name]
        try:
            return msgspec.convert(given, self.parameters, strict=False)
        except msgspec.ValidationError as error:
            raise Problem(422, str(error)) from None
