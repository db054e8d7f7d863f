"""Errors as RFC 9457 has them: a JSON object that says what is wrong, without the machine's own affairs."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping

from starlette.responses import Response


class Problem(Exception):  # noqa: N818 - as RFC 9457 calls it
    """Why a request gets no answer.

    Parameters
    ----------
    status : int
        Of HTTP.
    detail : str
        One line: what was found, and what would be right.
    headers : {name: value}, optional
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})

    def response(self) -> Response:
        """As it is sent."""
        about = {
            "type": "about:blank",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        body = json.dumps(about)  # in ASCII, as half of a surrogate pair has no UTF-8
        return Response(body, self.status, self.headers, "application/problem+json")
