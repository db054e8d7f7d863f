"""A GPU, as far as FAISS is asked to work on it: whether there is one, what it does, how much memory it has.

FAISS ends the process where CUDA is half there: a library without its driver, a GPU that has no kernels. So
it is first tried in a child process, once, and only by who has work enough for a GPU or times an index.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import faiss

T = TypeVar("T")

_log = logging.getLogger(__name__)

LIMIT = 2048  # FAISS finds no more neighbors on a GPU, and looks into no more lists
MARGIN = 64  # of those it finds, so many beyond the k-th: near-ties with that are all there
WORK = 10**12  # multiplications that should pay: ten seconds on two cores
_GUESS = 4 << 30
_TEMPORARY_BYTES = 1536 << 20  # what FAISS takes by itself
_LEAST = 32 << 20
_TRY_SECONDS = 120
_TRYING = threading.Lock()  # who comes meanwhile gets the same GPU, and its lock
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_TRY = """
import ctypes, faiss, numpy
if faiss.get_num_gpus():
    resources = faiss.StandardGpuResources()
    resources.setTempMemory(64 << 20)
    rows = numpy.eye(8, dtype="float32")
    found = faiss.knn_gpu(resources, rows, rows, 1)[1]
    if found[:, 0].tolist() != list(range(8)):
        raise SystemExit("a search on the GPU gives wrong rows")
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    try:
        ctypes.CDLL("libcuda.so.1").cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
    except (OSError, AttributeError):
        pass
    print(free.value)
"""


class Room:
    """The bytes of a GPU's memory that are there to be planned with; what is told of them is told once."""

    def __init__(self, size: int) -> None:
        self.bytes = size
        self.lock = threading.Lock()  # FAISS's resources are for one thread at a time
        self._told: set[str] = set()

    def halve(self, error: RuntimeError) -> None:
        """After `error`: half as much if it is for lack of memory, else nothing."""
        if lacks_memory(error):
            self.bytes //= 2
            self._tell("FAISS has not enough memory on the GPU and goes on in smaller blocks")
        else:
            self.bytes = 0
            self._tell(f"FAISS fails on the GPU: {str(error).strip().splitlines()[-1]}")

    def leave(self, work: str) -> None:
        """Tell that the CPU does this work."""
        self._tell(f"FAISS leaves {work} to the CPU")

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _log.warning(text)


class Gpu(Protocol):
    """What is used of a GPU, by who holds `room.lock` where there are threads.

    Any call, and any of an index that came of one, may raise a RuntimeError, which `Room.halve` takes. What
    is on the GPU stays there until its index is gone.

    Attributes
    ----------
    name : str
        As records name it.
    room : Room
    """

    name: str
    room: Room

    def flat(self, width: int, metric: int, *, half: bool = False) -> faiss.Index:
        """An empty flat index; `half` keeps values, and compares them, as float16."""

    def copy(self, index: faiss.Index) -> faiss.Index:
        """The GPU's form of an index."""


class FaissGpu:
    """The first CUDA device, by FAISS."""

    name = "cuda"

    def __init__(self, size: int) -> None:
        self.room = Room(size)
        self._resources: Any = None
        self._planned = 0

    def flat(self, width: int, metric: int, *, half: bool = False) -> faiss.Index:
        """As `Gpu.flat`; it goes with its vectors when nothing refers to it."""
        import faiss

        settings = faiss.GpuIndexFlatConfig()
        settings.device, settings.useFloat16 = 0, half
        return faiss.GpuIndexFlat(self._ready(), width, metric, settings)

    def copy(self, index: faiss.Index) -> faiss.Index:
        """As `Gpu.copy`; a RuntimeError as well for a kind that only CPUs have."""
        import faiss

        return faiss.index_cpu_to_gpu(self._ready(), 0, index)

    def _ready(self) -> Any:
        """FAISS's resources; made anew, with less memory of their own, when there is less room."""
        import faiss

        if self.room.bytes < _LEAST:
            raise RuntimeError(f"out of memory: {self.room.bytes} bytes are left on the GPU")
        if self._planned != self.room.bytes:
            self._resources, self._planned = None, 0
            resources = faiss.StandardGpuResources()
            resources.setTempMemory(min(self.room.bytes // 4, _TEMPORARY_BYTES))
            with _workspace():
                resources.syncDefaultStreamCurrentDevice()  # takes the memory, before anything relies on it
            self._resources, self._planned = resources, self.room.bytes
        return self._resources


@contextlib.contextmanager
def _workspace() -> Iterator[None]:
    """A workspace for the cuBLAS handle that is made here, which else may round in another order.

    FAISS has two streams on it. PyTorch's handles, in the same process, stay as the user has them.
    """
    before = os.environ.get(_WORKSPACE)
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    try:
        yield
    finally:
        if before is None:
            del os.environ[_WORKSPACE]


def gpu_for(work: float) -> Gpu | None:
    """The GPU if there is one, and it is worth while for so many multiplications."""
    gpu = found_gpu() if work >= WORK else None
    return gpu if gpu is not None and gpu.room.bytes else None


def gpu_or_cpu(gpu: Gpu | None, work: Callable[[Gpu | None], T], what: str) -> tuple[T, Gpu | None]:
    """What `work` gives when it is told to use the GPU or, should that fail, not to; and which it was."""
    if gpu is not None:
        try:
            return work(gpu), gpu
        except RuntimeError as error:
            gpu.room.halve(error)
            gpu.room.leave(what)
    return work(None), None


def found_gpu() -> Gpu | None:
    """The GPU, if FAISS can use one here; tried once, in a child."""
    with _TRYING:
        return _tried()


@functools.cache
def _tried() -> Gpu | None:
    if importlib.util.find_spec("faiss") is None:
        return None
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRY], capture_output=True, text=True, check=False, timeout=_TRY_SECONDS
        )
    except subprocess.TimeoutExpired:
        _log.warning("FAISS works on the CPU: CUDA did not answer within %d s", _TRY_SECONDS)
        return None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        reason = last.rpartition("details: ")[2]
        _log.warning("FAISS cannot use CUDA here and works on the CPU (%s)", reason)
        return None
    return FaissGpu(int(done.stdout.split()[-1]) or _GUESS) if done.stdout else None


def lacks_memory(error: RuntimeError) -> bool:
    """Whether it is for lack of memory that FAISS failed on a GPU."""
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "alloc fail", "memory allocation", "cudahostalloc"))
