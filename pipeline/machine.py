"""What Linux gives a process, and what stands in for it elsewhere (macOS)."""

from __future__ import annotations

import contextlib
import os
import platform
import tempfile
from pathlib import Path


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> int:
    """How many NVIDIA GPUs the driver shows, without asking it; CUDA may see fewer."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def processor() -> str:
    """What the processor is called."""
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as told:
        named = (line.partition(":")[2].strip() for line in told if line.startswith("model name"))
        if name := next(named, ""):
            return name
    return platform.processor() or platform.machine() or "a CPU"


def shared_memory(size: int) -> int:
    """Memory of `size` bytes for this process and its children, as a file descriptor for `mmap`."""
    if hasattr(os, "memfd_create"):
        memory = os.memfd_create("pool5")
    else:
        with tempfile.TemporaryFile() as file:
            memory = os.dup(file.fileno())
    os.ftruncate(memory, size)
    return memory


def take_space(file: int, size: int) -> None:
    """Take a file's space on the disk now, so that a full disk is known now; `OSError` if there is none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
