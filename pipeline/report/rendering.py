"""The templates, and how they write numbers."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import re
from typing import Any

import jinja2
from markupsafe import Markup

from ..files.hints import counted
from ..measures.average_precision import meaning_of
from . import tables


def render(page: object) -> str:
    """The page as HTML; `page` is a `page.Page`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pool5.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "json": _json,
        "decimals": lambda value, none="–": none if value is None else minus(f"{value:.3f}"),
        "signed": lambda value: "–" if value is None else minus(f"{value:+.3f}"),
        "percent": lambda share: f"{100 * share:.0f} %",
        "short": lambda value: "–" if value is None else minus(f"{value:.4g}"),
        "prose": minus,
        "millions": lambda count: "–" if count is None else f"{count / 1e6:.3g} M",
        "brief": lambda name: name if len(name) <= 80 else f"{name[:40]}…{name[-39:]}",
        "counted": counted,
        "meaning": meaning_of,
    }
    environment.filters |= {"asset": _asset, "hashed": _hashed}
    environment.globals |= {"asset": _asset, "tables": tables}
    return environment.get_template("page.html.j2").render(page=page)


def minus(text: str) -> str:
    """A minus sign before each negative number; hyphens stay what they are."""
    return re.sub(r"(?<![\w-])-(?=\.?\d)", "−", re.sub(r"(?<=\de)-(?=\d)", "−", text))


def _json(value: Any) -> Markup:
    """JSON that can stand in a script element: no `<` may end it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _asset(name: str) -> Markup:
    """A style sheet or script, as it is."""
    return Markup((importlib.resources.files(__package__) / "templates" / name).read_text(encoding="utf-8"))


def _hashed(text: str) -> Markup:
    """How a Content-Security-Policy names a script or a style sheet that may run: no other does."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(f"'sha256-{digest}'")
