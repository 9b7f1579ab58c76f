"""What happens to files of a run, and what a command may say then; shared by both products."""
from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from launch_here import launch_here


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """One bit each in two bytes."""
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    data[2 * len(data) // 3] ^= 4
    path.write_bytes(bytes(data))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


# All four for every kind of file in `make test-long`, those that look like a file in `make test`.
DAMAGES = pytest.mark.parametrize("damage", [
    truncate, flip, pytest.param(empty, marks=pytest.mark.long),
    pytest.param(remove, marks=pytest.mark.long)])
OF_A_CHECKPOINT = ("meta.json", "SHA256SUMS", "state/_METADATA", "state/manifest.ocdbt",
                   "state/d/*", "state/ocdbt.process_0/d/*")  # every kind of file in it


def damage_step(folder: Path, kind: str, damage) -> int:
    """Damages all files of a kind in the newest step of some checkpoints; returns the step."""
    step = steps_of(folder)[-1]
    paths = list((folder / str(step)).glob(kind))
    assert paths, f"no {kind}"
    for path in paths:
        damage(path)
    return step


def steps_of(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def fill_disk(monkeypatch, name: str) -> None:
    """From now on the disk is full for files whose path holds `name`."""
    fsync = os.fsync

    def full(number):
        if name in os.readlink(f"/proc/self/fd/{number}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    monkeypatch.setattr(os, "fsync", full)


def refused(module: str, *arguments) -> str:
    """The one sentence of a command that leaves with exit code 2."""
    code, _, err = launch_here(module, *map(str, arguments))
    assert code == 2 and "Traceback" not in err, err
    told = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert len(told) == 1 and err.rstrip().endswith(told[0]), err
    return told[0]
