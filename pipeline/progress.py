"""Progress bars: on a terminal, for whatever takes more than two seconds, never in CI."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(iterable: Iterable[Any] | None = None, **options: Any) -> tqdm:
    """A tqdm bar on stderr that appears after two seconds and stays silent in CI and in pipes."""
    quiet = "CI" in os.environ or not sys.stderr.isatty()
    return tqdm(iterable, delay=2, disable=quiet, dynamic_ncols=True, **options)
