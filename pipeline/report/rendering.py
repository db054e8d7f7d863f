"""The templates, and how they write numbers."""

from __future__ import annotations

import importlib.resources
import json
from typing import Any

import jinja2
from markupsafe import Markup

PROTOCOLS = {
    "voc2007": "mean of the interpolated precision at recall 0, 0.1, …, 1, as the 2007 devkit computes it",
    "area": "area under the monotone precision-recall curve, as the devkit does since 2010",
    "sklearn": "sum of (Rₙ − Rₙ₋₁) Pₙ without interpolation, as scikit-learn's average_precision_score",
}


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
        "decimals": lambda value, none="–": none if value is None else f"{value:.3f}",
        "signed": lambda value: "–" if value is None else f"{value:+.3f}".replace("-", "−"),
        "integer": lambda value: "–" if value is None else str(value),
        "percent": lambda share: f"{100 * share:.0f} %",
        "short": _short,
    }
    environment.globals |= {"asset": _asset, "protocols": PROTOCOLS}
    return environment.get_template("page.html.j2").render(page=page)


def _short(value: float | None) -> str:
    """A number with four digits that count."""
    return "–" if value is None else f"{value:.4g}".replace("-", "−")


def _json(value: Any) -> Markup:
    """JSON that can stand in a script element: no `<` may end it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _asset(name: str) -> Markup:
    """A style sheet or script, as it is."""
    return Markup((importlib.resources.files(__package__) / "templates" / name).read_text(encoding="utf-8"))
