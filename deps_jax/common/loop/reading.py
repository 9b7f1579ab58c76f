"""Processes that read data: they outlive what stops a run, which still wants a batch, but not it.

Ctrl-C in a terminal, and the SIGTERM of some batch systems, reach the run and all its processes.
"""
from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from typing import Any

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_HAS_MASKS = hasattr(signal, "pthread_sigmask")  # not on Windows

# After SIGTERM, seconds for the run to take the batch that it waits for and to save.
GRACE_S = 60.0


def first(batches: Iterator) -> Any:
    """The first element of an iterator of grain, which starts its processes.

    They inherit masks, so that no signal reaches them before `outlive_signals` has run in them.
    """
    with ThreadPoolExecutor(1, initializer=_mask) as thread:
        return thread.submit(next, batches).result()


def outlive_signals(*_: int) -> None:
    """Keeps a process that reads from ending before the run has taken its last batch.

    It ignores SIGINT, outlives SIGTERM by GRACE_S seconds, and ends with the run. To be called in
    every such process, before anything else.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _in_background(_end_after_grace))
    if _HAS_MASKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    _in_background(_end_with_the_run)


def _mask() -> None:
    """Blocks SIGINT and SIGTERM for this thread, and the threads and processes that it starts."""
    if _HAS_MASKS:
        resource_tracker.ensure_running()  # it unmasks them where it is started
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)


def _in_background(target: Callable[[], None]) -> None:
    threading.Thread(target=target, daemon=True).start()


def _end_after_grace() -> None:
    time.sleep(GRACE_S)
    os._exit(1)


def _end_with_the_run() -> None:
    """Ends this process once the run has ended.

    grain's workers wait for the run to say that they may stop; killed, it never does.
    """
    multiprocessing.parent_process().join()
    os._exit(1)
