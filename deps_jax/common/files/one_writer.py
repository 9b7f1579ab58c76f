"""One writer of a file at a time, among processes and threads that share it.

Locks are the system's (`flock`): they end with the process, however it ends. A drive that knows
none, and Windows, give none; two writers then stay out of each other's way as well as names allow.
"""
from __future__ import annotations

import contextlib
import glob
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

WAIT_S = 10.0  # for another writer's few lines, at most: one that is stopped must stop nobody else
_AGAIN_S = 0.005
_LEFT_S = 86400.0  # from this age on a part is of a process that was killed


@contextlib.contextmanager
def log(path: Path) -> Iterator[IO[bytes]]:
    """A log, open to read and to add to; nobody else adds to it meanwhile, where there are locks.

    Unbuffered: what does not fit on the disk is told by `write`, not where the file is closed.
    """
    while True:
        with path.open("ab+", buffering=0) as file, _locked(file, WAIT_S) as held:
            # Another may have put a new file in its place while this one waited.
            if not held or _is_at(file, path):
                yield file
                return


@contextlib.contextmanager
def part(path: Path) -> Iterator[Path]:
    """The path under which a file is written before it takes the place of the old one.

    It is NAME.part, and what a killed process has left there is written over. While another writes
    the same file, or where there are no locks, it bears the process and the thread in its name.
    """
    usual = path.with_name(f"{path.name}.part")
    with contextlib.ExitStack() as held:
        if _is_ours(usual, held):
            yield usual
            return
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_S:
                left.unlink()
    yield path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")


def _is_ours(usual: Path, held: contextlib.ExitStack) -> bool:
    """Whether nobody else writes under a name, nor will before `held` is closed."""
    if fcntl is None:  # nor could a file that is open be renamed there
        return False
    with contextlib.suppress(OSError):
        file = held.enter_context(usual.open("ab"))
        locked = held.enter_context(_locked(file))
        if locked is None:  # then it is nobody's
            usual.unlink()
        return bool(locked) and _is_at(file, usual)
    return False


@contextlib.contextmanager
def _locked(file: IO[bytes], wait_s: float = 0.0) -> Iterator[bool | None]:
    """Whether the lock of an open file is held inside; None where there are no locks.

    Args:
      wait_s: Seconds that another who holds it is waited for.
    """
    locked = _lock(file, time.monotonic() + wait_s)
    try:
        yield locked
    finally:
        if locked:  # not left to closing: a process that was forked meanwhile has it open, too
            fcntl.flock(file, fcntl.LOCK_UN)


def _lock(file: IO[bytes], until: float) -> bool | None:
    if fcntl is None:
        return None
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_AGAIN_S)
        except OSError:
            return None


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is still the one that a path names."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
