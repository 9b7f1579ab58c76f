"""Kills a training again and again, and compares what it comes to with an undisturbed one."""
from __future__ import annotations

import collections
import dataclasses
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deps_jax.common.loop import writer
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.run import CHECKPOINTS, saved
from deps_jax.common.loop.saved_steps import META

SIGNALS = (signal.SIGKILL, signal.SIGTERM)  # in turn
EARLY = 0.2  # share of the kills that come before a process has saved anything
LATER = 0.4  # the others come after it has, by up to this part of what the whole run takes then
TIMEOUT_S = 600.0
BEFORE, STARTING, SAVING = "before the first checkpoint", "while starting", "while saving"
EVALUATING, LAST, STOPPED = "while evaluating", "after the last step", "saved and stopped by itself"


@dataclasses.dataclass
class Kills:
    """What was done and what came of it.

    Attributes:
      kills: Number of kills by signal; only of processes that still ran.
      places: Number of kills by where they met the run, told from what they left in its folder.
      runs: Number of trainings that were killed and continued to their end.
      starts: Number of processes that were started.
      differing: Names of the arrays of the last run's final state that are not, to the bit, those
        of the undisturbed run.
    """

    kills: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    places: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    runs: int = 0
    starts: int = 0
    differing: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of all kills."""
        return sum(self.kills.values())

    def __str__(self) -> str:
        by_signal = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        places = ", ".join(f"{count} {place}" for place, count in self.places.most_common())
        verdict = (f"differ from an undisturbed run's in {', '.join(self.differing[:3])}"
                   if self.differing else "are bit-identical to an undisturbed run's")
        return (f"{self.count} kills ({by_signal}): {places}; {self.runs} runs, {self.starts} "
                f"starts: parameters, statistics and optimizer state {verdict}")


@dataclasses.dataclass(frozen=True)
class _Pace:
    """How long the undisturbed run takes, and how far it goes.

    Attributes:
      start_s: Seconds to its first checkpoint.
      rest_s: Seconds from there to its end.
      last_step: Step of its last checkpoint.
    """

    start_s: float
    rest_s: float
    last_step: int


def kill_and_compare(command: Sequence[str], folder: Path, kills: int, seed: int = 0) -> Kills:
    """Kills `command --workdir FOLDER/killed` at random moments, as often as asked.

    A run that comes to its end before is compared, and another one is begun; the first that differs
    from the undisturbed one is the last.

    Args:
      command: Command of a training that continues when it is given again; it should save often.
      folder: Folder of both runs, which are made anew.
      kills: Number of kills.
      seed: Seed of the moments.

    Raises:
      ValueError: If a training ends with an error of its own (its output is in the folder), or
        saves nothing for TIMEOUT_S seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draw, found = random.Random(seed), Kills()
    whole, killed = folder / "undisturbed", folder / "killed"
    pace = _undisturbed(command, whole)
    with tqdm(total=kills, desc="killing", unit="kill") as progress:
        while not found.differing and (found.count < kills or not found.runs):
            shutil.rmtree(killed, ignore_errors=True)
            while found.count < kills:
                found.starts += 1
                how = SIGNALS[found.count % len(SIGNALS)]
                place = _kill(command, killed, how, draw, pace)
                if place is None:
                    break
                found.kills[how.name] += 1
                found.places[place] += 1
                progress.update()
            else:
                found.starts += 1
                _check_end(_start(command, killed).wait(), killed)
            found.runs += 1
            found.differing = _differing(whole, killed)
    return found


def _undisturbed(command: Sequence[str], workdir: Path) -> _Pace:
    """The pace of the undisturbed run, run twice: the first compiles for all that come after."""
    for _ in range(2):
        shutil.rmtree(workdir, ignore_errors=True)
        start = time.monotonic()
        process = _start(command, workdir)
        _wait_for_a_step(process, workdir, set())
        first = time.monotonic()
        _check_end(process.wait(), workdir)
    return _Pace(first - start, time.monotonic() - first, max(_steps(workdir)))


def _kill(command: Sequence[str], workdir: Path, how: signal.Signals, draw: random.Random,
          pace: _Pace) -> str | None:
    """Starts the training and kills it; the place, or None if it has come to its end before."""
    before, process = _steps(workdir), _start(command, workdir)
    if draw.random() < EARLY:
        deadline = time.monotonic() + draw.uniform(0, pace.start_s)
    else:
        _wait_for_a_step(process, workdir, before)
        deadline = time.monotonic() + draw.uniform(0, LATER * pace.rest_s)
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(how)
    code = process.wait(TIMEOUT_S)
    if code == 0:  # of a run that has come to its end, or has saved and stopped: see `cli`
        return None if max(_steps(workdir), default=0) == pace.last_step else STOPPED
    if code != -how:
        _check_end(code, workdir)
    return _place(workdir, before, pace.last_step)


def _place(workdir: Path, before: set[int], last_step: int) -> str:
    """Where a run was when it was killed."""
    folder, steps = workdir / CHECKPOINTS, _steps(workdir)
    if folder.is_dir() and any(path.suffix in (".part", ".old") for path in folder.iterdir()):
        return SAVING
    if not steps:
        return BEFORE
    if max(steps) == last_step:
        return LAST
    if steps == before:
        return STARTING
    # Metrics of a step are written before it is evaluated, and it is saved after that.
    return EVALUATING if writer.read(workdir)[-1]["step"] > max(steps) else "between two steps"


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


def _wait_for_a_step(process: subprocess.Popen, workdir: Path, before: set[int]) -> None:
    """Waits until the process has saved a step, or has ended."""
    start = time.monotonic()
    while process.poll() is None and _steps(workdir) == before:
        if time.monotonic() - start > TIMEOUT_S:
            process.kill()
            raise ValueError(f"a training saved nothing in {TIMEOUT_S:.0f} s; give a smaller "
                             f"config that saves at every step")
        time.sleep(0.01)


def _steps(workdir: Path) -> set[int]:
    folder = workdir / CHECKPOINTS
    return {int(path.name) for path in folder.iterdir() if path.name.isdecimal()} \
        if folder.is_dir() else set()


def _differing(whole: Path, killed: Path) -> tuple[str, ...]:
    """Names of what is not the same to the bit, in all folders of checkpoints of two runs."""
    one, other = _arrays(whole), _arrays(killed)
    return tuple(sorted(
        name for name in one.keys() | other.keys()
        if name not in one or name not in other or one[name].dtype != other[name].dtype
        or one[name].tobytes() != other[name].tobytes()))


def _arrays(workdir: Path) -> dict[str, np.ndarray]:
    found = saved(workdir).arrays()
    for folder in {path.parents[1] for path in workdir.glob(f"*/*/{META}")}:
        if folder.name != CHECKPOINTS:  # such as the best weights
            found |= {f"{folder.name}/{name}": array
                      for name, array in Checkpoints(folder).arrays().items()}
    return found
