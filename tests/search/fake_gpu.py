"""A GPU of little memory, played by the CPU."""

from __future__ import annotations

import weakref

import faiss
import numpy as np

from pool5.search.gpu import Room

OUT_OF_MEMORY = (
    "Error in virtual void* faiss::gpu::StandardGpuResourcesImpl::allocMemory(const AllocRequest&) at "
    "/faiss/gpu/StandardGpuResources.cpp:610: Error: 'err == cudaSuccess' failed: StandardGpuResources: "
    "alloc fail type FlatData dev 0 space Device size {} bytes (cudaMalloc error out of memory [2])\n"
)


class FakeGpu:
    """Has the arithmetic of FAISS's kernels, and `memory` bytes for what is added and what is asked.

    Parameters
    ----------
    memory : int
    told : int, optional
        What it says that it has; `memory`, if not given.
    broken : str
        Why nothing can be made on it.
    """

    name = "fake"

    def __init__(self, memory: int, told: int | None = None, broken: str = "") -> None:
        self.room = Room(memory if told is None else told)
        self.memory, self.broken = memory, broken
        self.used = self.made = 0

    def flat(self, width: int, metric: int, *, half: bool = False) -> faiss.Index:
        if self.broken:
            raise RuntimeError(self.broken)
        self.made += 1
        return _Flat(self, width, metric, half)

    def copy(self, index: faiss.Index) -> faiss.Index:
        self.take(faiss.serialize_index(index).nbytes)
        return faiss.clone_index(index)

    def take(self, size: int) -> None:
        if self.used + size > self.memory:
            raise RuntimeError(OUT_OF_MEMORY.format(size))
        self.used += size

    def free(self, held: list[int]) -> None:
        self.used -= held[0]


class _Flat(faiss.IndexFlat):
    _gpu, _half, _bytes = None, False, None  # FAISS's classes refuse attributes that they do not know

    def __init__(self, gpu: FakeGpu, width: int, metric: int, half: bool) -> None:
        super().__init__(width, metric)
        self._gpu, self._half, self._bytes = gpu, half, [0]
        weakref.finalize(self, gpu.free, self._bytes)

    def add(self, rows: np.ndarray) -> None:
        size = rows.size * (2 if self._half else 4)
        self._gpu.take(size)
        self._bytes[0] += size
        super().add(self._held(rows))

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        assert k <= 2048
        size = queries.size * 4 + len(queries) * k * 12
        self._gpu.take(size)
        self._gpu.used -= size
        return super().search(self._held(queries), k)

    def _held(self, vectors: np.ndarray) -> np.ndarray:
        assert vectors.dtype == np.float32
        return vectors.astype(np.float16).astype(np.float32) if self._half else vectors
