"""Folders that several processes share: who uses one, and who is alone in it.

Locks are the system's (by `fasteners`: POSIX record locks, or those of Windows). They end with the
process, however it ends, and processes that it has started do not hold them. A drive that knows no
locks (some network drives) or that may not be written gives none: nobody waits then, and nobody
counts as the only one.

`fasteners` is imported where it is used: on Linux and macOS it needs `fcntl`, which other systems
lack, and importing this package needs neither.
"""
from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from deps_jax.common.files.sealed import tell

if TYPE_CHECKING:
    from fasteners import InterProcessLock

ALONE, USED, TRAINING = "lock", "used.lock", "training.lock"  # files of locks; they stay, empty

_USED: dict[str, object] = {}  # folder: its shared lock while this process lives
_TRAINING: set[str] = set()  # folders: POSIX locks do not tell two runs of one process apart


def use(folder: Path, when_alone: Callable[[], None] = lambda: None) -> None:
    """Marks a folder as used until this process ends.

    Args:
      folder: The folder; nothing happens if it does not exist.
      when_alone: Called if no other process uses the folder and this one has not before, so it may
        delete; others wait for its end.
    """
    from fasteners import InterProcessReaderWriterLock

    key = str(folder.resolve())
    if key in _USED or not folder.is_dir():
        return
    lock = _USED[key] = InterProcessReaderWriterLock(folder / USED)
    if _given(lock.acquire_write_lock, blocking=False):
        try:
            when_alone()
        finally:
            lock.release_write_lock()  # Windows cannot turn it into a shared one
    _given(lock.acquire_read_lock)


@contextlib.contextmanager
def alone(folder: Path, waiting: str) -> Iterator[None]:
    """Lets one process at a time run the block inside; the others print `waiting` and wait."""
    from fasteners import InterProcessLock

    lock = InterProcessLock(folder / ALONE)
    with contextlib.suppress(OSError, threading.ThreadError):
        if not lock.acquire(blocking=False):
            print(waiting, flush=True)
            lock.acquire()
    try:
        yield
    finally:
        if lock.acquired:
            lock.release()


@contextlib.contextmanager
def if_free(folder: Path) -> Iterator[bool]:
    """Whether nobody else was alone in the folder (`alone`); if so, this process is, inside.

    A drive that knows no locks says yes to everybody.
    """
    from fasteners import InterProcessLock

    lock, free = InterProcessLock(folder / ALONE), True
    with contextlib.suppress(OSError, threading.ThreadError):
        free = lock.acquire(blocking=False)
    try:
        yield free
    finally:
        if lock.acquired:
            lock.release()


@contextlib.contextmanager
def training(folder: Path) -> Iterator[None]:
    """While the block inside runs, nobody else trains in the folder, which must be there.

    Raises:
      ValueError: If somebody does; it is raised at once, without waiting.
    """
    from fasteners import InterProcessLock

    key = str(folder.resolve())
    if key in _TRAINING:
        raise ValueError(_in_use(folder, "this process"))
    lock = InterProcessLock(folder / TRAINING)
    try:
        if not lock.acquire(blocking=False):
            raise ValueError(_in_use(folder, f"process {_owner(folder)}"))
        _sign(lock)
    except threading.ThreadError:
        tell(f"the drive of {folder} knows no locks, so a second process that trains there would "
             f"not be noticed")
    _TRAINING.add(key)
    try:
        yield
    finally:
        _TRAINING.discard(key)
        if lock.acquired:
            lock.release()


def _given(acquire: Callable[..., bool], **how: bool) -> bool:
    """Whether the lock was given; a drive that knows none or may not be written gives none."""
    try:
        return acquire(**how)
    except (OSError, threading.ThreadError):
        return False


def _in_use(folder: Path, owner: str) -> str:
    return (f"{folder} is in use: {owner} trains there; wait until it has ended, or give another "
            f"--workdir")


def _sign(lock: InterProcessLock) -> None:
    """Writes the number of this process into the file of a lock that it holds."""
    with contextlib.suppress(OSError):  # a full disk: a lock without a name is a lock
        lock.lockfile.truncate(0)
        lock.lockfile.write(f"{os.getpid()}\n")
        lock.lockfile.flush()


def _owner(folder: Path) -> str:
    try:
        return (folder / TRAINING).read_text().strip() or "of another user"
    except (OSError, UnicodeDecodeError):  # Windows lets nobody read what is locked
        return "of another program"
