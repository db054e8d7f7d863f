"""Memory as the stages hold it: what dvc.yaml tells malloc through the environment, in a running process."""

from __future__ import annotations

import ctypes

# parameters of glibc's mallopt(3)
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def reuse_freed_memory() -> bool:
    """Keep freed memory in this process instead of giving it back to the system at once.

    glibc maps every large array anew and unmaps it when it is freed, and the system zeroes each of its
    pages at the first touch. A network's activations come and go a hundred times a second: MobileNet spent
    half of its time on that. The resident memory then stays at its peak until the process ends.

    Returns
    -------
    bool
        Whether the C library could be told; others than glibc cannot, and nothing else changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 64 << 20))
    answers = [mallopt(parameter, value) for parameter, value in settings]
    return all(answer == 1 for answer in answers)
