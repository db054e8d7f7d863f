"""How a peer program answers: ready once, then a run for each line on standard input."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def serve(prepare: Callable[[dict[str, Any]], tuple[dict[str, Any], Callable[[], dict[str, Any]]]]) -> None:
    """`prepare` gets the arguments; it gives what to say first, and the run to be timed."""
    began = time.perf_counter()
    try:
        about, run = prepare(json.loads(sys.argv[1]))
    except Exception as error:
        _say({"error": f"{type(error).__name__}: {error}".split("\n")[0][:200]})
        return
    _say({**about, "prepared_seconds": time.perf_counter() - began})
    for _ in sys.stdin:
        began = time.perf_counter()
        try:
            answer = run()
        except Exception as error:
            _say({"error": f"{type(error).__name__}: {error}".split("\n")[0][:200]})
            continue
        _say({"seconds": time.perf_counter() - began, **answer})


def _say(words: dict[str, Any]) -> None:
    print(json.dumps(words), flush=True)
