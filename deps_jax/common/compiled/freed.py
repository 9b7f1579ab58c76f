"""Giving back what compiled programs hold of a process.

XLA keeps each program in memory maps of its own, some hundred for a training step, and Linux allows
a process 65,530 of them; the compiler's threads leave gigabytes of free memory behind. What makes
many runs in one process gives both back between them.
"""
from __future__ import annotations

import ctypes
import gc
import os

import jax

_C = ctypes.CDLL(None) if os.name == "posix" else None


def free_programs() -> None:
    """Frees all compiled programs that nothing holds, and memory that the C library keeps.

    A function that is called again is compiled again, or its program comes out of a cache on disk.
    """
    jax.clear_caches()
    gc.collect()  # what was compiled for a run hangs in cycles of its functions
    if hasattr(_C, "malloc_trim"):  # glibc
        _C.malloc_trim(0)
