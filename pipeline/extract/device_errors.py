"""What torch says of a device that has failed, as against one that refuses a single piece of work."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from ..errors import UserError

_NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory|(CUBLAS|CUDNN)_STATUS_\w*ALLOC\w*_FAILED",
    re.IGNORECASE,
)
_FAILED = re.compile(r"\bCUDA error\b(?!: out of memory)")
_NO_KERNEL = "unable to find an engine"


def has_failed(error: BaseException) -> bool:
    """Whether a GPU has; it is of no use to this process any more."""
    return isinstance(error, RuntimeError) and bool(_FAILED.search(str(error)))


def lacks_memory(error: BaseException) -> bool:
    """Whether there was not memory enough, on a GPU or beside it."""
    # torch tells of the CPU's memory, and of some of CUDA's, in words alone
    return isinstance(error, MemoryError) or bool(_NO_MEMORY.search(str(error)))


def has_no_kernel(error: BaseException) -> bool:
    """Whether cuDNN has none that the memory has room for, or none at all: it does not say which."""
    return _NO_KERNEL in str(error)


@contextlib.contextmanager
def memory_for(what: str, remedy: str) -> Iterator[None]:
    """Tell in a line that there was not memory enough."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not lacks_memory(error):
            raise
        raise UserError(f"{what}: {first_line(error)}; {remedy}") from None


def first_line(error: BaseException) -> str:
    """What a user is told of it."""
    return (str(error).splitlines() or ["out of memory"])[0]
