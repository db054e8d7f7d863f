"""How templates are found, and how they write numbers: for the report and for the page of the service."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import jinja2
from markupsafe import Markup

from ..files.hints import counted


def environment(*packages: str) -> jinja2.Environment:
    """For the templates of some packages; a name is looked up in the first of them first.

    Also gives `asset(name)`, a style sheet or a script as it is.
    """
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in packages])
    made = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def asset(name: str) -> Markup:
        return Markup(loader.get_source(made, name)[0])

    made.filters |= {
        "json": _json,
        "decimals": lambda value, none="–": none if value is None else minus(f"{value:.3f}"),
        "signed": lambda value: "–" if value is None else minus(f"{value:+.3f}"),
        "percent": lambda share: f"{100 * share:.0f} %",
        "short": lambda value: "–" if value is None else minus(f"{value:.4g}"),
        "prose": minus,
        "millions": lambda count: "–" if count is None else f"{count / 1e6:.3g} M",
        "brief": lambda name: name if len(name) <= 80 else f"{name[:40]}…{name[-39:]}",
        "counted": counted,
        "asset": asset,
        "hashed": _hashed,
    }
    made.globals["asset"] = asset
    return made


def minus(text: str) -> str:
    """A minus sign before each negative number; hyphens stay what they are."""
    return re.sub(r"(?<![\w-])-(?=\.?\d)", "−", re.sub(r"(?<=\de)-(?=\d)", "−", text))


def _json(value: Any) -> Markup:
    """JSON that can stand in a script element: no `<` may end it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _hashed(text: str) -> Markup:
    """How a Content-Security-Policy names a script or a style sheet that may run: no other does."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(f"'sha256-{digest}'")
