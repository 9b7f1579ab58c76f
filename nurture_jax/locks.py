"""Folders that several processes share: who uses one, and who is alone in it.

Locks are the system's (flock): they end with the process, however it ends. A drive that knows none
(some network drives) gives none: nobody waits then, and nobody counts as the only one.
"""
from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

_USED: dict[str, int] = {}  # folder: its descriptor, with a shared lock while this process lives


def use(folder: Path, when_alone: Callable[[], None] = lambda: None) -> None:
    """Marks a folder as used until this process ends.

    Args:
      when_alone: called if no other process uses the folder and this one has not before, so it may
        delete; others wait for its end.
    """
    key = str(folder.resolve())
    if key in _USED or not folder.is_dir():
        return
    opened = os.open(folder, os.O_RDONLY)
    if _lock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB):
        when_alone()
    _lock(opened, fcntl.LOCK_SH)
    _USED[key] = opened


@contextlib.contextmanager
def alone(folder: Path, waiting: str) -> Iterator[None]:
    """Only one process at a time is in here; the others print `waiting` and wait."""
    with (folder / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(waiting, flush=True)
            _lock(file.fileno(), fcntl.LOCK_EX)
        except OSError:
            pass
        yield


def _lock(opened: int, how: int) -> bool:
    """Whether the lock was given."""
    try:
        fcntl.flock(opened, how)
    except OSError:
        return False
    return True
