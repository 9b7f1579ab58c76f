"""Another process that holds a lock: within one process, POSIX locks keep nobody out."""
from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROGRAM = """
import os, sys, fasteners
lock = fasteners.InterProcessLock(sys.argv[1])
lock.acquire()
lock.lockfile.truncate(0)
lock.lockfile.write(str(os.getpid()))
lock.lockfile.flush()
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holding(path: Path) -> Iterator[subprocess.Popen]:
    """A process that holds the lock of a file until it is killed or the block ends."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()
