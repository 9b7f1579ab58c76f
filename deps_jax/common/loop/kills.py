"""Kills or stops a training again and again, and compares what it comes to with an undisturbed one.

One process is killed; of two, one is asked to stop.
"""
from __future__ import annotations

import collections
import dataclasses
import random
import shutil
import signal
import socket
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


@dataclasses.dataclass
class Stops:
    """What came of stopping one of two processes.

    Attributes:
      steps: Step that both had saved, of every stop.
      differing: Names of arrays that a run continued by two has other than an undisturbed one.
      next_losses: Largest relative difference of the loss of the first step after a stop from the
        undisturbed one's, by the number of processes that went on.
      starts: Number of processes that were started.
    """

    steps: list[int] = dataclasses.field(default_factory=list)
    differing: tuple[str, ...] = ()
    next_losses: dict[int, float] = dataclasses.field(default_factory=dict)
    starts: int = 0

    def __str__(self) -> str:
        verdict = (f"differs from the undisturbed one in {', '.join(self.differing[:3])}"
                   if self.differing else "is bit-identical to the undisturbed one")
        losses = ", ".join(f"{difference:.1e} by {count}"
                           for count, difference in sorted(self.next_losses.items()))
        return (f"{len(self.steps)} stops of one of two processes, both saved the same step "
                f"(after steps {', '.join(map(str, self.steps))}), {self.starts} starts: continued "
                f"by two, the run {verdict}; the next step's loss differs by {losses} processes")


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


def stop_and_compare(command: Sequence[str], folder: Path, stops: int, seed: int = 0) -> Stops:
    """Two processes train; one is sent SIGTERM at a random moment, as often as asked.

    Every stopped run is continued by two processes and compared with an undisturbed one to the
    bit; and a copy of it by one and by four in turn, whose sums are split otherwise, so that only
    the loss of their next step is compared.

    Args:
      command: Command of a training, as in `kill_and_compare`; it should also log every step, and
        its batches be multiples of 4.
      folder: Folder of all runs, which are made anew.
      stops: Number of stops.
      seed: Seed of the moments.

    Raises:
      ValueError: If a process ends with an error, or the processes have not saved the same step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draw, found, whole = random.Random(seed), Stops(), folder / "undisturbed"
    shutil.rmtree(whole, ignore_errors=True)
    members = _start_together(command, whole, 2)
    _wait_for_a_step(members[0], whole, set())
    first = time.monotonic()
    _end_together(members, whole)
    rest_s, last, found.starts = time.monotonic() - first, max(_steps(whole)), 2
    for number in tqdm(range(stops), desc="stopping", unit="stop"):
        while not (step := _stop_one(command, folder / "stopped", draw, rest_s, last, found)):
            pass  # it had come to its end before
        found.steps.append(step)
        count = (1, 4)[number % 2]
        shutil.rmtree(folder / "copy", ignore_errors=True)
        shutil.copytree(folder / "stopped", folder / "copy")
        for workdir, processes in ((folder / "stopped", 2), (folder / "copy", count)):
            found.starts += processes
            _end_together(_start_together(command, workdir, processes), workdir)
            difference = abs(_loss(workdir, step + 1) / _loss(whole, step + 1) - 1)
            found.next_losses[processes] = max(difference, found.next_losses.get(processes, 0.0))
        found.differing = _differing(whole, folder / "stopped")
        if found.differing:
            break
    return found


def _stop_one(command: Sequence[str], workdir: Path, draw: random.Random, rest_s: float, last: int,
              found: Stops) -> int:
    """Starts two processes and stops one; the step that both saved, 0 if they had ended before."""
    shutil.rmtree(workdir, ignore_errors=True)
    found.starts += 2
    members = _start_together(command, workdir, 2)
    _wait_for_a_step(members[0], workdir, set())
    deadline = time.monotonic() + draw.uniform(0, rest_s)
    while members[0].poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    members[draw.randrange(2)].send_signal(signal.SIGTERM)
    _end_together(members, workdir, also=(-signal.SIGTERM,))  # of one that was about to end
    step = max(_steps(workdir))
    if step == last:
        return 0
    said = [text for text in _output(workdir).read_text(errors="replace").splitlines()
            if "stopped after step" in text]
    if len(said) < 2 or not all(f"stopped after step {step} of" in text for text in said[-2:]):
        raise ValueError(f"two processes in {workdir} did not both stop after step {step}, which "
                         f"is saved; their output is in {_output(workdir)}")
    return step


def _start_together(command: Sequence[str], workdir: Path, count: int) -> list[subprocess.Popen]:
    if count == 1:
        return [_start(command, workdir)]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [_start([*command, f"--coordinator=localhost:{port}", f"--processes={count}",
                    f"--process={index}"], workdir) for index in range(count)]


def _end_together(members: Sequence[subprocess.Popen], workdir: Path, also: tuple = ()) -> None:
    for member in members:
        code = member.wait(TIMEOUT_S)
        _check_end(0 if code in also else code, workdir)


def _loss(workdir: Path, step: int) -> float:
    return {line["step"]: line["loss"] for line in writer.read(workdir) if "loss" in line}[step]


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
