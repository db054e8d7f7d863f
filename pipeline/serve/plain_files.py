"""Small files of an export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_json(path: Path, content: Any) -> None:
    """Write JSON without a space."""
    write_bytes(path, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
