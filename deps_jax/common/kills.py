"""Kills a training again and again, and compares what it comes to with an undisturbed one."""
from __future__ import annotations

import dataclasses
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from deps_jax.common.run import CHECKPOINTS, saved

SIGNALS = (signal.SIGKILL, signal.SIGTERM)  # in turn
EARLY = 0.2  # share of the kills that may come before a process has saved anything
LATER_S = 2.0  # the others come at most so long after it has
TIMEOUT_S = 600.0
INTERRUPTED = 130  # the exit code of a run that has saved and stopped, see `cli`


@dataclasses.dataclass
class Kills:
    """What was done and what came of it.

    Attributes:
      kills: by signal; only of processes that still ran.
      while_saving: of them, those that left a checkpoint half written.
      runs: trainings that were killed and continued to their end.
      starts: processes.
      differing: names of arrays of a final state that are not those of the undisturbed run, to the
        bit.
    """

    kills: dict[str, int] = dataclasses.field(default_factory=dict)
    while_saving: int = 0
    runs: int = 0
    starts: int = 0
    differing: tuple[str, ...] = ()

    def __str__(self) -> str:
        by_signal = ", ".join(f"{count} {name}" for name, count in self.kills.items())
        verdict = (f"differ from an undisturbed run in {', '.join(self.differing[:3])}"
                   if self.differing else "are bit-identical to an undisturbed run's")
        return (f"{sum(self.kills.values())} kills ({by_signal}), {self.while_saving} of them in "
                f"the middle of a checkpoint; {self.runs} runs, {self.starts} starts: parameters, "
                f"statistics and optimizer state {verdict}")


def kill_and_compare(command: Sequence[str], folder: Path, kills: int, seed: int = 0) -> Kills:
    """Kills `command --workdir FOLDER/killed` at random moments, as often as asked.

    A run that comes to its end before is compared, and another one is begun.

    Args:
      command: of a training that continues when it is given again; it should save often.
      folder: of the undisturbed run, which is continued if it is there, and of the others.
      kills: how many.
      seed: of the moments.

    Raises:
      ValueError: when a training ends with an error of its own; its output is in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draw, found = random.Random(seed), Kills({each.name: 0 for each in SIGNALS})
    whole, killed = folder / "undisturbed", folder / "killed"
    _finish(command, whole)
    with tqdm(total=kills, desc="killing", unit="kill") as progress:
        while not found.differing and (sum(found.kills.values()) < kills or not found.runs):
            shutil.rmtree(killed, ignore_errors=True)
            while sum(found.kills.values()) < kills:
                how = SIGNALS[sum(found.kills.values()) % len(SIGNALS)]
                found.starts += 1
                if not _killed(command, killed, how, draw):
                    break
                found.kills[how.name] += 1
                found.while_saving += how == signal.SIGKILL and _half_written(killed)
                progress.update()
            found.starts += 1
            _finish(command, killed)
            found.runs += 1
            found.differing = _differing(whole, killed)
    return found


def _killed(command: Sequence[str], workdir: Path, how: signal.Signals, draw: random.Random
            ) -> bool:
    """Starts the training and kills it; False when it has come to its end before."""
    before, start = _steps(workdir), time.monotonic()
    early = draw.random() < EARLY
    process = _start(command, workdir)
    if not early:
        while process.poll() is None and _steps(workdir) == before:
            _check_time(start, process)
            time.sleep(0.02)
    deadline = time.monotonic() + draw.uniform(0, LATER_S * (5 if early else 1))
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(how)
    code = process.wait(TIMEOUT_S)
    if code not in (-how, INTERRUPTED):
        _check_end(code, workdir)
    return code != 0


def _finish(command: Sequence[str], workdir: Path) -> None:
    _check_end(_start(command, workdir).wait(), workdir)


def _start(command: Sequence[str], workdir: Path) -> subprocess.Popen:
    with _output(workdir).open("ab") as output:
        return subprocess.Popen([*command, "--workdir", str(workdir)], stdout=output,
                                stderr=subprocess.STDOUT)


def _output(workdir: Path) -> Path:
    return workdir.with_name(f"{workdir.name}.txt")


def _check_end(code: int, workdir: Path) -> None:
    if code:
        raise ValueError(f"a training in {workdir} ended with exit code {code}; its output is in "
                         f"{_output(workdir)}")


def _check_time(start: float, process: subprocess.Popen) -> None:
    if time.monotonic() - start > TIMEOUT_S:
        process.kill()
        raise ValueError(f"a training saved nothing in {TIMEOUT_S:.0f} s; give a smaller config "
                         f"that saves at every step")


def _steps(workdir: Path) -> set[str]:
    folder = workdir / CHECKPOINTS
    return {path.name for path in folder.iterdir() if path.name.isdecimal()} \
        if folder.is_dir() else set()


def _half_written(workdir: Path) -> bool:
    folder = workdir / CHECKPOINTS
    return folder.is_dir() and any(path.suffix in (".part", ".old") for path in folder.iterdir())


def _differing(whole: Path, killed: Path) -> tuple[str, ...]:
    one, other = saved(whole).arrays(), saved(killed).arrays()
    return tuple(sorted(
        name for name in one.keys() | other.keys()
        if name not in one or name not in other or one[name].dtype != other[name].dtype
        or one[name].tobytes() != other[name].tobytes()))
