"""The process of one part: `python -m benchmarks.gpu_check.child '{"run": …}'`, started by `supervise.py`."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path

from benchmarks.gpu_check.check import Check
from benchmarks.gpu_check.missing import is_missing

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def main(told: str) -> int:
    """Run the part; 0 if all was as it should be."""
    asked = json.loads(told)
    with contextlib.suppress(AttributeError):  # Linux alone has it
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    os.set_inheritable(asked["pipe"], False)
    check = Check(asked["device"], asked["quick"], Path(asked["scratch"]), asked["pipe"], asked["limit_s"])
    module, _, function = asked["run"].partition(":")
    try:
        getattr(importlib.import_module(module), function)(check)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and is_missing(error.name):
            check.send({"needs": f"it needs {error.name}, which is not installed"})
        else:
            check.tell(type(error).__name__, False, why=str(error), traceback=traceback.format_exc()[-4000:])
    return int(check.failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
