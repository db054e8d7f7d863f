from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from pool5.host_memory import reuse_freed_memory
told = sys.argv[1] == "told" and reuse_freed_memory()
if sys.argv[1] == "told" and not told:
    sys.exit(77)
for turn in range(20):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 << 20, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this C library is not glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_memory_that_was_freed_is_used_again_without_a_page_fault():
    # counted, not timed; large pages make the count smaller, not zero
    assert page_faults("told") < page_faults("as it is") / 4
