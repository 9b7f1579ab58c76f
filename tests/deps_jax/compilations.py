"""What is compiled, how often, and how long it is kept."""
import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import jax

_C = ctypes.CDLL(None) if os.name == "posix" else None


@contextmanager
def compilations() -> Iterator[list[str]]:
    """A list of the programs that are compiled, or taken from a cache on disk, meanwhile."""
    names = []

    def note(event, *_, fun_name="", **__):
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


def free_programs() -> None:
    """Frees what was compiled: see `footprint`. Equal programs come back out of the cache.

    The compiler's threads leave gigabytes of free memory behind, which the C library keeps for the
    process unless it is asked to give them back.
    """
    jax.clear_caches()
    gc.collect()
    if hasattr(_C, "malloc_trim"):  # glibc
        _C.malloc_trim(0)
