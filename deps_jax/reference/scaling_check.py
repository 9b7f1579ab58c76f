"""The model of `scaling` against what processes on the cores of this machine take.

Each process has one core. Two that do not know of each other are timed at two batch sizes, to which
the model is fitted, and at a third, which it predicts; so that both cores are always at work. Then
two train together, and the model predicts how much that costs, from exchanges timed alone.

Exchanges are those of the compiled program: XLA joins those of stages that are computed again, for
they wait for nothing.

Batch sizes take turns, and so do pairs of processes, apart and together; medians count. How much of
a core a process had tells whether the machine was quiet; where it was not, there is no verdict.
"""
from __future__ import annotations

import dataclasses
import json
import math
import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.loop.parallel import data_parallel, mean_over_devices
from deps_jax.common.processes.together import check_alike
from deps_jax.reference import bench, program
from deps_jax.reference.scaling import FULL, Links, Pace, predicted, work_of
from deps_jax.space.families import MOBILENET_V3_CIFAR
from deps_jax.training.train import init_state
from deps_jax.training.trainer import Trainer

# Static and small: its steps compile in half a minute, and take some tens of milliseconds.
SPACE = dataclasses.replace(
    MOBILENET_V3_CIFAR, stages=MOBILENET_V3_CIFAR.stages[:3], width_mult=0.5).with_choices(
        kernels=(3,), depths=(2,), expands=(3,))
# Images of a process. Fewer than 16 fit the caches, and each takes three quarters of the time.
FITTED, THIRD = (16, 64), 32
SMALL = 512  # numbers of a small exchange: about what a batch norm exchanges
REPEATED = 50  # small exchanges of one program
ALLOWED = 0.15  # largest relative error
REPEATS = 3  # of both pairs, in turn
QUIET = 0.95  # share of its core that a process has on a quiet machine
RIGHT, WRONG, UNSURE = 0, 1, 3  # exit codes; 2 is that of bad input
TIMEOUT_S = 1200


@dataclasses.dataclass(frozen=True)
class Timed:
    """What a process has timed, medians in seconds.

    Attributes:
      steps: Of a step, by images of this process.
      small, large: Of a small exchange, and of one of all gradients; nan of a process alone.
      share: Share of the time of all steps in which its core worked for it.
    """

    steps: dict[int, float]
    small: float
    large: float
    share: float = 1.0

    @classmethod
    def middle(cls, repeats: Sequence[Timed]) -> Timed:
        """Medians over some; the least share."""
        median = lambda of: statistics.median(of(one) for one in repeats)
        return cls({size: median(lambda one, size=size: one.steps[size])
                    for size in repeats[0].steps}, median(lambda one: one.small),
                   median(lambda one: one.large), min(one.share for one in repeats))


@dataclasses.dataclass(frozen=True)
class Checked:
    """A prediction beside what was measured.

    Attributes:
      what: What it is of.
      predicted, measured: Both numbers, in the unit that `what` tells.
    """

    what: str
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted / self.measured - 1

    def __str__(self) -> str:
        verdict = "OK" if abs(self.error) <= ALLOWED else "NOT OK"
        return (f"{self.what}: predicted {self.predicted:.4g}, measured {self.measured:.4g} "
                f"({self.error:+.1%}) {verdict}")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What `check` has found.

    Attributes:
      found: Predictions beside what was measured.
      share: Least share of its core that a process had that was timed alone.
      load: The system's mean number of running processes before.
    """

    found: tuple[Checked, ...]
    share: float
    load: float

    @property
    def exit_code(self) -> int:
        """RIGHT, WRONG or UNSURE."""
        if not self.share >= QUIET:
            return UNSURE
        return WRONG if any(abs(each.error) > ALLOWED for each in self.found) else RIGHT

    def __str__(self) -> str:
        said = {RIGHT: f"OK: all predictions are within {ALLOWED:.0%}",
                WRONG: f"NOT OK: a prediction is off by more than {ALLOWED:.0%}",
                UNSURE: f"UNSURE: the machine was not quiet, a process had its core only "
                        f"{self.share:.0%} of the time; try again when nothing else runs"}
        return "\n".join([f"load {self.load:.1f} before, on {os.cpu_count()} cores; medians of "
                          f"{REPEATS} repeats", *map(str, self.found), said[self.exit_code]])


def member(out: Path, rounds: int) -> None:
    """Times steps, and exchanges where there are several processes; the body of a process.

    Args:
      out: File for what is found, of the first process.
    """
    # The first exchange must not wait for a process that still compiles: gloo gives up after 30 s.
    check_alike(rounds=rounds)
    sizes = (*FITTED, THIRD)
    recipe = bench.recipe_of(SPACE)
    trainer, state = Trainer(recipe, jax.random.key(0)), jax.jit(
        partial(init_state, recipe=recipe))(jax.random.key(1))
    step, = (one for (name, _), one in trainer.steps.items() if name == recipe.phases[0].name)
    found: dict[int, list[float]] = {size: [] for size in sizes}
    worked = 0.0
    for number in range(rounds + 1):  # the first compiles
        for size in sizes:
            batch = bench.random_batch(SPACE, size)
            start, counted = time.perf_counter(), time.process_time()
            state, _ = jax.block_until_ready(step(state, batch, trainer.extra))
            if number:
                found[size].append(time.perf_counter() - start)
                worked += time.process_time() - counted
    small, large = math.nan, math.nan
    if jax.process_count() > 1:
        small = _exchange(_small, jnp.ones(SMALL), rounds) / REPEATED
        gradients = int(work_of(SPACE, FULL, True).gradient_bytes) // 4
        large = _exchange(_large, jnp.ones(gradients), rounds)
    if jax.process_index() == 0:
        out.write_text(json.dumps(dataclasses.asdict(Timed(
            {size: statistics.median(each) for size, each in found.items()}, small, large,
            worked / sum(map(sum, found.values()))))))


def _small(x: jax.Array, _: jax.Array, extra: jax.Array, *, axis_name: str) -> jax.Array:
    """Many small exchanges that wait for each other."""
    return jax.lax.fori_loop(0, REPEATED, lambda _, y: mean_over_devices(y * extra, axis_name), x)


def _large(x: jax.Array, _: jax.Array, extra: jax.Array, *, axis_name: str) -> jax.Array:
    return mean_over_devices(x * extra, axis_name)


def _exchange(function: Callable, x: jax.Array, rounds: int) -> float:
    """Median seconds of a call on the devices of all processes."""
    mapped = data_parallel(function, devices=jax.devices())
    batch, taken = np.zeros((jax.local_device_count(), 1), np.float32), []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        jax.block_until_ready(mapped(x, batch, jnp.float32(1.0)))
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def check(command: Sequence[str], rounds: int) -> Verdict:
    """Runs two processes apart and together, in turn, and compares.

    Args:
      command: What calls `member` with `--out FILE --rounds N` behind it.
      rounds: How often everything is timed in each of REPEATS.

    Raises:
      ValueError: If there are fewer than two cores, or a process fails.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise ValueError("two processes need a core each, and there is one; try elsewhere")
    load, exchanges, apart, together = os.getloadavg()[0], joined_exchanges(), [], []
    for _ in range(REPEATS):
        apart.append(_both(command, cores[:2], rounds, ()))
        with socket.socket() as free:
            free.bind(("localhost", 0))
            where = f"--coordinator=localhost:{free.getsockname()[1]}"
        together.append(_both(command, cores[:2], rounds, (where, "--processes=2")))
    alone = Timed.middle(apart)
    return Verdict(tuple(compared(alone, Timed.middle(together), exchanges)), alone.share, load)


def joined_exchanges() -> int:
    """Small exchanges of a step, as XLA compiles it for two devices of this machine's processors.

    JAX must not have computed anything before in this process.
    """
    program.two_virtual_devices()
    traced = bench.traced_step(SPACE, bench.STEPS[0], "float32", 2, 2 * THIRD)
    return program.all_reduces(traced.lower().compile()) - 1  # that of the gradients


def compared(apart: Timed, together: Timed, exchanges: int) -> list[Checked]:
    """What the model predicts beside what was measured.

    Args:
      apart, together: What a process has timed alone, and as one of two.
      exchanges: Small exchanges of a step.
    """
    pace = Pace.fitted({size: apart.steps[size] for size in FITTED})
    work = dataclasses.replace(work_of(SPACE, FULL, True), exchanges=exchanges)
    # What two chips send is all of the gradients, once: see `predicted`.
    links = Links(together.small, work.gradient_bytes / together.large)
    step = predicted(pace, links, work, 2, THIRD)
    efficiency = pace(THIRD) / step.total
    return [Checked(f"ms of a step on {THIRD} images, fitted at {FITTED[0]} and {FITTED[1]}",
                    1e3 * pace(THIRD), 1e3 * apart.steps[THIRD]),
            Checked(f"efficiency of two processes, {THIRD} images each, {exchanges} exchanges of "
                    f"{1e3 * together.small:.2g} ms", efficiency,
                    apart.steps[THIRD] / together.steps[THIRD])]


def _both(command: Sequence[str], cores: Sequence[int], rounds: int, together: tuple[str, ...]
          ) -> Timed:
    """What the first of two processes has timed, alone or as one of two."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{core}.json" for core in cores]
        members, own_cores = [], os.sched_getaffinity(0)
        try:
            for number, (core, file) in enumerate(zip(cores, files, strict=True)):
                own = (*together, f"--process={number}") if together else ("--distributed=off",)
                os.sched_setaffinity(0, {core})  # which a new process inherits
                members.append(subprocess.Popen(
                    [*command, f"--out={file}", f"--rounds={rounds}", *own],
                    stdout=subprocess.DEVNULL))
        finally:
            os.sched_setaffinity(0, own_cores)
        try:
            codes = [one.wait(TIMEOUT_S) for one in members]
        except subprocess.TimeoutExpired as error:
            raise ValueError(f"processes that are timed have not ended in {TIMEOUT_S} s; try with "
                             f"fewer --rounds, or when the machine is quiet") from error
        finally:
            for one in members:
                one.kill()  # does nothing to one that has ended
                one.wait()
        if any(codes):
            raise ValueError(f"processes that were timed ended with exit codes {codes}; what they "
                             f"said is above")
        content = json.loads(files[0].read_text())
    steps = {int(size): seconds for size, seconds in content.pop("steps").items()}
    return Timed(steps, **content)
