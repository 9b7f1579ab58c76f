"""A real disk of few bytes (a tmpfs), for what happens when it is full; root mounts it on Linux."""
from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_BLOCK = 4096
_PLENTY = 1 << 30


class SmallDisk:
    """A mounted folder whose size is set; `inside` is where files go."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.inside = folder, folder / "inside"

    def resize(self, size: int = _PLENTY) -> None:
        """Bytes, at least what is used: a disk cannot be made smaller than that."""
        blocks = max(-(-size // _BLOCK), self.used() // _BLOCK, 1)
        subprocess.run(["mount", "-o", f"remount,size={blocks * _BLOCK}", str(self.folder)],
                       check=True, capture_output=True)

    def used(self) -> int:
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def empty(self) -> None:
        self.resize()
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Skips the test where nothing can be mounted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_PLENTY}", "tmpfs", str(folder)]
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no small disk: there is no command mount")
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here ({made.stderr.strip()})")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)
