"""What every request passes first: is this service meant, may the client ask, and is it not too often."""

from __future__ import annotations

import asyncio
import math

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .hosts import Hosts
from .problems import Problem
from .rate import Rate
from .token import Token

# set where a route does not say otherwise; nothing here may be framed, sniffed or read by another site
_HEADERS = {
    b"cache-control": b"no-cache",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; sandbox",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}
_OPEN = "/healthz"  # tells whoever watches over the process, and nothing else


class Guard:
    """An application behind these questions."""

    def __init__(self, app: ASGIApp, hosts: Hosts, token: Token | None, rate: Rate) -> None:
        self._app, self._hosts, self._token, self._rate = app, hosts, token, rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            app, answer = self._answer(HTTPConnection(scope)) or self._app, _Sending(send)
            try:
                await app(scope, receive, answer)
            except asyncio.CancelledError:  # the service is being ended and waits no longer
                if answer.begun:
                    raise
                told = "the service is being ended; ask again when it is back"
                await Problem(503, told, {"Retry-After": "5"}).response()(scope, receive, answer)
        else:  # there is no socket here
            await send({"type": "websocket.close", "code": 1008})

    def _answer(self, request: HTTPConnection) -> ASGIApp | None:
        """What is answered in place of the application."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._hosts.answers(hosts[0]):
            told = "the request is for another host; pool5 serve --allow-host NAME lets it be this one"
            return Problem(421, told).response()
        if {"content-length", "transfer-encoding"} <= set(request.headers):
            # where a body ends is then a matter of opinion: RFC 9112, 6.1
            told = "the request has both a Content-Length and a Transfer-Encoding; send one of them"
            return Problem(400, told, {"Connection": "close"}).response()
        path = request.scope["path"]
        if path == _OPEN:
            return None
        # before the token, which cannot be guessed by trying many then
        if wait := self._rate.wait(request.client.host if request.client else ""):
            told = f"too many requests; the next may come in {wait:.2g} s"
            return Problem(429, told, {"Retry-After": str(math.ceil(wait))}).response()
        if self._token and not self._token.is_shown(request):
            if response := self._token.taken(request):
                return response
            if path == "/" and "text/html" in request.headers.get("accept", ""):
                return self._token.form(request)
            told = "send the service's token: Authorization: Bearer …"
            return Problem(401, told, {"WWW-Authenticate": "Bearer"}).response()
        if _is_of_another_site(request, hosts[0]):
            return Problem(403, "the question comes from the page of another site").response()
        return None


def _is_of_another_site(request: HTTPConnection, host: str) -> bool:
    """Whether a browser asks for the page of another site: a link to this one may be followed, no more."""
    asks, how = (request.headers.get(f"sec-fetch-{name}") for name in ("site", "mode"))
    if asks in ("cross-site", "same-site") and how != "navigate":
        return True
    origin = request.headers.get("origin", host)
    return request.scope["method"] == "POST" and origin.rpartition("://")[2] != host


class _Sending:
    """Sends an answer, with the headers that every one has; knows whether it has begun to."""

    def __init__(self, send: Send) -> None:
        self._send, self.begun = send, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            there = {name.lower() for name, _ in message["headers"]}
            missing = [(name, value) for name, value in _HEADERS.items() if name not in there]
            message = {**message, "headers": [*message["headers"], *missing]}
        await self._send(message)
