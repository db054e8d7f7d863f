"""JSON with one way to write each content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .atomic import write_text


def json_text(content: Any) -> str:
    """Indented, keys sorted, no NaN; the same text for the same content."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path | str, content: Any) -> None:
    """Write `json_text(content)`, whole or not at all."""
    write_text(path, json_text(content))
