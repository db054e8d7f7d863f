"""The report's templates, filled in."""

from __future__ import annotations

from ..measures.average_precision import meaning_of
from . import tables
from .environment import environment


def render(page: object) -> str:
    """The page as HTML; `page` is a `page.Page`."""
    own = environment("pool5.report")
    own.filters["meaning"] = meaning_of
    own.globals["tables"] = tables
    return own.get_template("page.html.j2").render(page=page)
