"""Memory and memory maps of a test run: what every process reached, and limits that end it.

XLA keeps each compiled program in memory maps of its own. Linux allows a process 65,530 of them;
beyond that the compiler crashes. A suite that lets programs pile up therefore falls, at a place
that depends on which files share a process.
"""
from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

MAX_GB = 4.0
MAX_MAPS = 15_000
PROC = Path("/proc")


@dataclasses.dataclass
class Footprint:
    """The most that one process held: resident bytes and memory maps."""

    resident_bytes: int = 0
    maps: int = 0

    def include(self, other: Footprint) -> None:
        """Keeps the larger of both."""
        self.resident_bytes = max(self.resident_bytes, other.resident_bytes)
        self.maps = max(self.maps, other.maps)

    def is_too_large(self, most_gb: float, most_maps: int) -> bool:
        return self.resident_bytes > most_gb * 1e9 or self.maps > most_maps


def footprint(pid: int | str = "self") -> Footprint:
    """Of a process now; zeros where it has ended or the system has no /proc."""
    try:
        status = (PROC / str(pid) / "status").read_text()
        with (PROC / str(pid) / "maps").open("rb") as maps:
            count = sum(1 for _ in maps)
    except OSError:
        return Footprint()
    resident = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return Footprint(1024 * int(resident[0]) if resident else 0, count)


class Watch:
    """Looks at this process and everything it started, every few seconds, from a thread.

    Attributes:
      largest: Footprint by process, as (pid, what it was started as).
    """

    def __init__(self, every_s: float = 2.0):
        self.largest: dict[tuple[int, str], Footprint] = {}
        self._every_s, self._stop = every_s, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            for pid in descendants(os.getpid()):
                found = footprint(pid)
                if found.maps:
                    self.largest.setdefault((pid, _command(pid)), Footprint()).include(found)


def descendants(root: int) -> list[int]:
    """Process ids of `root` and of all that it, or one of its children, started."""
    children: dict[int, list[int]] = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _command(pid: int) -> str:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    return " ".join(words)[:60]
