"""Errors as RFC 9457 has them: a JSON object that says what is wrong, without the machine's own affairs."""

from __future__ import annotations

import http
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NotThere, UserError
from ..telling import in_words

if TYPE_CHECKING:
    from starlette.responses import Response

_LONGEST = 1000  # characters of what is told; a name in it may have any number


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
        from starlette.responses import Response  # here, as the page's files are written without it

        about = {
            "type": "about:blank",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": _cut(self.detail),
        }
        body = json.dumps(about)  # in ASCII, as half of a surrogate pair has no UTF-8
        return Response(body, self.status, self.headers, "application/problem+json")


def problem_of(error: UserError, root: Path) -> Problem:
    """What a client is told of it: files are named from the project's folder on.

    404 for what is not there, 409 for a store that must be made anew, 503 for what may be asked again soon,
    and 400 for what cannot be asked.
    """
    told = in_words(error)
    for folder in {str(root.absolute()), str(root)} - {"."}:
        told = told.replace(f"{folder}/", "")
    if (seconds := getattr(error, "retry_after", None)) is not None:
        return Problem(503, told, {"Retry-After": f"{max(seconds, 1):.0f}"})
    if isinstance(error, NotThere):
        return Problem(404, told)
    return Problem(400 if error.rerun is None else 409, told)


def _cut(told: str) -> str:
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"
