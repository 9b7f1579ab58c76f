"""How the process keeps its memory: a third of a small network's step on CPU is page faults."""
from __future__ import annotations

import ctypes
import sys

# Option numbers of malloc.h (glibc): trim threshold, top padding, mmap threshold, arenas.
_KEEP_EVERYTHING = {-1: 2**31 - 1, -2: 2**28, -3: 2**30, -8: 1}


def reuse_memory() -> bool:
    """Lets glibc keep freed memory for the next step instead of returning it to the system.

    XLA:CPU allocates its buffers anew in every step; without this each is mapped, faulted in page
    by page and unmapped. Call before the first computation. Does nothing elsewhere than on Linux
    with glibc.

    Returns:
      Whether the setting was made.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all([mallopt(*option) for option in _KEEP_EVERYTHING.items()])
