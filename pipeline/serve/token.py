"""The token that a service may ask for: in a header from programs, in a cookie from browsers."""

from __future__ import annotations

import hashlib
import hmac
import html
from urllib.parse import parse_qsl, urlencode

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response

_FORM = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Pool5: token</title>
<form action="/" method="get">{hidden}
<p><label>This service asks for a token: <input name="token" type="password" required autofocus></label>
<button>Open</button></p></form></html>
"""
_POLICY = "default-src 'none'; form-action 'self'; frame-ancestors 'none'"


class Token:
    """A secret that every request has to show.

    The cookie holds no token, but what can be made of it alone; its name tells services of one host apart.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._value = hmac.new(self._secret, b"pool5 cookie", hashlib.sha256).hexdigest()
        self._name = f"pool5_{hashlib.sha256(self._value.encode()).hexdigest()[:8]}"

    def is_shown(self, request: HTTPConnection) -> bool:
        """Whether a request has the token, or the cookie."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is(given.strip().encode("latin-1")):
            return True
        return hmac.compare_digest(request.cookies.get(self._name, "").encode(), self._value.encode())

    def taken(self, request: HTTPConnection) -> Response | None:
        """The answer to a link to the page with `token` in it: the cookie, and the link without it."""
        query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value.encode() for name, value in query if name == "token"]
        if request.scope["path"] != "/" or not any(map(self._is, given)):
            return None
        rest = urlencode([pair for pair in query if pair[0] != "token"])
        response = RedirectResponse(f"/?{rest}" if rest else "/", 303)
        response.set_cookie(self._name, self._value, httponly=True, samesite="strict")
        return response

    def form(self, request: HTTPConnection) -> Response:
        """The page of one who comes without."""
        query = parse_qsl(request.scope["query_string"].decode("latin-1"))
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in query
            if name != "token"
        )
        headers = {"Content-Security-Policy": _POLICY, "WWW-Authenticate": "Bearer"}
        return HTMLResponse(_FORM.format(hidden=hidden), 401, headers)

    def _is(self, given: bytes) -> bool:
        return hmac.compare_digest(given, self._secret)
