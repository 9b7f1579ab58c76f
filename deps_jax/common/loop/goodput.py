"""Where the time of a run went, over all its processes, and how much of it trained.

Every process that trains in a run's folder adds lines to `goodput.jsonl`: the seconds that it has
spent so far, by what they were spent on. What a stopped process did after its last line is not
known; what it did after the checkpoint that the next one continued from was lost.
"""
from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deps_jax.common.files import sealed

FILE = "goodput.jsonl"
# What seconds are spent on. "steps" is what counts; "start" is all before the first step but
# tracing and compiling, "data" what the device has waited for batches.
KINDS = ("start", "trace", "compile", "steps", "data", "evaluation", "checkpoints")
_IMPORTED = time.time()
_free_since = 0.0  # when this process was done with another run, which it may have had before


@dataclasses.dataclass(frozen=True)
class Goodput:
    """The seconds of a run.

    Attributes:
      seconds: Seconds by what they were spent on: KINDS, and "lost", what had to be done again.
      processes: Number of processes that have trained.
    """

    seconds: Mapping[str, float]
    processes: int

    @property
    def share(self) -> float:
        """The share of the time that was spent on steps which were kept; nan of no time."""
        total = sum(self.seconds.values())
        return self.seconds["steps"] / total if total else float("nan")

    def __str__(self) -> str:
        total = sum(self.seconds.values())
        parts = sorted(((seconds, kind) for kind, seconds in self.seconds.items() if seconds > 0),
                       reverse=True)
        on = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return (f"{self.share:.0%} of {_clock(total)} went into steps that were kept (" + ", ".join(
            f"{kind} {_clock(seconds)}" for seconds, kind in parts) + f"; {on})")


class Spending:
    """Counts what a process spends its seconds on; each second counts once.

    Args:
      folder: Folder of the run; None counts for this process alone and records nothing.
      start_step: Step at which this process goes on.
    """

    def __init__(self, folder: Path | None = None, start_step: int = 0) -> None:
        self._path, self._start_step = folder and Path(folder) / FILE, start_step
        self._before = _summed(sealed.read_lines(self._path) if folder else [], start_step)
        self._began = max(_began(), _free_since)
        self._seconds = dict.fromkeys(KINDS, 0.0)
        self._seconds["start"] = max(time.time() - self._began, 0.0)  # a clock may be set back
        self._kind, self._since = "start", time.monotonic()

    def begin_steps(self) -> None:
        """From here on, what is not on something else is on steps."""
        self._turn_to("steps")

    @contextmanager
    def on(self, kind: str) -> Iterator[None]:
        """Inside, seconds are spent on this; what was before goes on after."""
        before = self._kind
        self._turn_to(kind)
        try:
            yield
        finally:
            self._turn_to(before)

    def waited(self, seconds: float) -> None:
        """So much of what counted as steps was waiting for data."""
        self._seconds["steps"] -= seconds
        self._seconds["data"] += seconds

    def so_far(self) -> Goodput:
        """The seconds of the run until now."""
        self._turn_to(self._kind)
        return Goodput({kind: seconds + self._seconds.get(kind, 0.0)
                        for kind, seconds in self._before.seconds.items()},
                       self._before.processes + 1)

    def write(self, step: int) -> None:
        """Records what was spent until now, after `step` steps.

        Raises:
          FullDisk: If the disk is full.
        """
        self._turn_to(self._kind)
        if self._path is None:
            return
        sealed.append(self._path, {
            "began": self._began, "from": self._start_step, "step": step,
            **{kind: round(seconds, 3) for kind, seconds in self._seconds.items()}})
        leave()

    def _turn_to(self, kind: str) -> None:
        now = time.monotonic()
        self._seconds[self._kind] += now - self._since
        self._kind, self._since = kind, now


def leave() -> None:
    """What this process has done until now counts for no run that it will have yet."""
    global _free_since
    _free_since = time.time()


def read(folder: Path) -> Goodput | None:
    """The seconds of the run in a folder; None of a run that has not recorded any."""
    lines = sealed.read_lines(Path(folder) / FILE)
    return _summed(lines, lines[-1]["step"]) if lines else None


def _summed(lines: Sequence[Mapping], step: int) -> Goodput:
    """What the processes have spent of which these are the lines; the next goes on at `step`."""
    processes: dict[float, list[Mapping]] = {}
    for line in lines:
        processes.setdefault(line["began"], []).append(line)
    own = list(processes.values())
    continued = [*(following[0]["from"] for following in own[1:]), step][:len(own)]
    total = dict.fromkeys((*KINDS, "lost"), 0.0)
    for written, kept_to in zip(own, continued, strict=True):
        kept = next((line for line in reversed(written) if line["step"] <= kept_to), {})
        for kind in KINDS:
            total[kind] += kept.get(kind, 0.0)
            total["lost"] += written[-1][kind] - kept.get(kind, 0.0)
    return Goodput(total, len(own))


def _began() -> float:
    """When this process began, in seconds since 1970; where that is not told, when it came here."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        up_s = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - up_s + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):  # not Linux
        return _IMPORTED


def _clock(seconds: float) -> str:
    """Seconds as "12 s", "3:05" or "1:02:03"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
