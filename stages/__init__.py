"""One thin script a DVC stage: params in, the library called, outputs written."""

from pipeline.host_memory import reuse_freed_memory

reuse_freed_memory()
