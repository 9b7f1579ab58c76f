"""The loop around a training step: progress, metrics, checkpoints, and a clean stop."""
from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
from tqdm import tqdm

from deps_jax.common.loop.batches import Batches
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.goodput import Spending
from deps_jax.common.loop.metrics import Mean, compute, counted, merge
from deps_jax.common.loop.parallel import Tree
from deps_jax.common.loop.profile import Tracer
from deps_jax.common.loop.writer import Writer
from deps_jax.common.processes.together import first, stop_signals


class Diverged(ValueError):
    """A metric stopped being finite; training further would only waste time."""


class Interrupted(Exception):
    """The user or the system asked the run to stop; everything is saved.

    Attributes:
      signal: The signal that asked.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


@dataclasses.dataclass(frozen=True)
class Cadence:
    """How often things happen, in steps.

    Attributes:
      log_every: Steps over which metrics are averaged, before they are checked and written.
      checkpoint_every: Steps between checkpoints; 0 saves only at the end (and when interrupted).
      evaluate_every: Steps between evaluations; 0 never evaluates on the way.

    Raises:
      ValueError: If a number is out of its range.
    """

    log_every: int = 50
    checkpoint_every: int = 500
    evaluate_every: int = 0

    def __post_init__(self) -> None:
        if self.log_every < 1 or self.checkpoint_every < 0 or self.evaluate_every < 0:
            raise ValueError(f"log_every {self.log_every} must be 1 or more, checkpoint_every "
                             f"{self.checkpoint_every} and evaluate_every {self.evaluate_every} "
                             f"0 or more steps")


def fit(step_fn: Callable, state: Tree, batches: Batches, *, total_steps: int, batch_size: int,
        cadence: Cadence, checkpoints: Checkpoints, writer: Writer, start_step: int = 0,
        evaluate: Callable[[int, Tree], dict[str, float]] | None = None, unit: str = "images",
        shown: tuple[str, ...] = ("loss", "top1"), spending: Spending | None = None,
        tracer: Tracer | None = None, peak_macs_per_second: float = 0.0,
        place: Callable[[Tree], Tree] | None = None) -> Tree:
    """Runs `state, metrics = step_fn(step, state, batch)` up to `total_steps`.

    Beside the metrics of the steps, UNIT_per_second, data_wait_fraction and goodput are written.
    The second is the share of the time in which the device had finished the step before and waited
    for a batch, the third the share of the run's whole time that went into steps. A metric "macs",
    multiply-adds for each of UNIT, also gives macs_per_second, and peak_fraction, their share of
    what the machine can do.

    Args:
      step_fn: The training step; its metrics are {name: Mean}.
      state: The state after `start_step` steps.
      batches: The batches, from the one of step `start_step` on, see `Batches`.
      total_steps: Number of steps of the whole run.
      batch_size: Number of UNIT in a batch.
      cadence: How often metrics are written, and the state is saved and evaluated.
      checkpoints: Where the state is saved.
      writer: Where metrics are written.
      start_step: Number of steps that were done before.
      evaluate: Called as `evaluate(step, state)`, it returns {name: float}, which is written beside
        the metrics; None does not evaluate.
      unit: What a batch is counted in.
      shown: Names of the metrics beside the progress bar.
      spending: Counts what the time is spent on; None counts for this call alone.
      tracer: Traces some of the steps; None traces none.
      peak_macs_per_second: What the machine can do, see `peak`; 0 where that is not known.
      place: Brings a batch to the devices, while they compute the step before, see `Feeder`; None
        leaves that to the step.

    Returns:
      The last state, which is also saved.

    Raises:
      Diverged: If a metric is not finite; the message names its step, and the last checkpoint is
        from before.
      Interrupted: On SIGINT or SIGTERM, after saving.
    """
    spending, tracer = spending or Spending(), tracer or Tracer()
    feeder = Feeder(batches, place)
    told = _Told(start_step, total_steps, batch_size, unit, shown, feeder, checkpoints, writer,
                 spending, peak_macs_per_second)
    spending.begin_steps()

    def due(step: int, every: int) -> bool:
        return every > 0 and step % every == 0

    with told.progress, contextlib.closing(tracer), contextlib.closing(feeder), \
            stop_signals() as stop:
        for step in range(start_step, total_steps):
            batch = feeder.next()
            with tracer.step(step) as results:
                state, metrics = step_fn(step, state, batch)
                results.append(metrics)
            told.pending.append(metrics)
            done = step + 1
            stopping = stop(done) and done < total_steps
            saving = done == total_steps or stopping or due(done, cadence.checkpoint_every)
            if done < total_steps and not stopping:
                feeder.ahead(metrics)
            if saving or due(done, cadence.log_every):
                told.flush(done)
            # Before the checkpoint: a run that continues from it would not evaluate this step.
            if evaluate and due(done, cadence.evaluate_every):
                with spending.on("evaluation"):
                    writer.write(done, evaluate(done, state))
                told.skip(done)
            if saving:
                with spending.on("checkpoints"):
                    checkpoints.save(done, state, feeder.position)
                spending.write(done)
            if stopping:
                raise Interrupted(f"stopped after step {done} of {total_steps}, everything is "
                                  f"saved; run the same command to continue", stop.signal)
    return state


class _Told:
    """Metrics of the steps on their way from the device to the progress bar and the disk.

    Attributes:
      pending: Metrics of steps that were not looked at yet: reading them waits for the device.
      progress: The progress bar.
    """

    def __init__(self, start_step: int, total_steps: int, batch_size: int, unit: str,
                 shown: tuple[str, ...], feeder: Feeder, checkpoints: Checkpoints, writer: Writer,
                 spending: Spending, peak_macs_per_second: float) -> None:
        self.pending: list[dict[str, Mean]] = []
        self.progress = tqdm(
            total=total_steps * batch_size, initial=start_step * batch_size, unit=f" {unit}",
            unit_scale=True, desc="training", dynamic_ncols=True, disable=not first())
        self.progress.set_postfix_str("compiling")
        self._batch_size, self._unit, self._shown = batch_size, unit, shown
        self._clock, self._feeder = Stopwatch(start_step), feeder
        self._checkpoints, self._writer, self._spending = checkpoints, writer, spending
        self._peak = peak_macs_per_second

    def flush(self, step: int) -> None:
        """Checks, writes and shows the means of what is pending, after `step` steps."""
        if not self.pending:
            return
        metrics = jax.device_get(self.pending)
        for i, values in enumerate(metrics):
            _check_finite(step - len(metrics) + i, values, self._checkpoints)
        means = metrics[0]
        for values in metrics[1:]:
            means = merge(means, values)
        means = compute(counted(means))
        self.pending.clear()
        (rate, seconds), waited = self._clock.lap(step), self._feeder.lap()
        self._spending.waited(waited)
        per_second = rate * self._batch_size
        self._writer.write(step, {
            **means, f"{self._unit}_per_second": per_second, **self._effort(means, per_second),
            "data_wait_fraction": min(1.0, waited / seconds),
            "goodput": self._spending.so_far().share})
        self._spending.write(step)
        self.progress.update(step * self._batch_size - self.progress.n)
        self.progress.set_postfix({k: f"{means[k]:.3g}" for k in self._shown if k in means},
                                  refresh=False)

    def _effort(self, means: dict[str, float], per_second: float) -> dict[str, float]:
        """Multiply-adds a second, where a step counts them, and their share of the peak."""
        if not self._peak or "macs" not in means:
            return {}
        macs_per_second = means["macs"] * per_second
        return {"macs_per_second": macs_per_second,
                "peak_fraction": macs_per_second / self._peak}

    def skip(self, step: int) -> None:
        """Leaves out of the steps' time what has passed since the last lines."""
        self._clock.lap(step)
        self._feeder.lap()


class Stopwatch:
    """Measures steps a second, and seconds, from one lap to the next."""

    def __init__(self, step: int) -> None:
        self._step, self._time = step, time.monotonic()

    def lap(self, step: int) -> tuple[float, float]:
        """(steps a second, seconds) since the last lap."""
        now = time.monotonic()
        steps, seconds = step - self._step, max(now - self._time, 1e-9)
        self._step, self._time = step, now
        return steps / seconds, seconds


class Feeder:
    """Brings batches to the devices, one ahead; counts the seconds in which those waited for one.

    While they compute a step, the next batch is read and copied to them. Never more than two lie
    there: the one that is trained on, and the next.

    Args:
      batches: The batches.
      place: Brings a batch to the devices, such as `DataParallel.share` does; None leaves that to
        the step.

    Attributes:
      position: Number of batches that `next` has given: where a run goes on that is stopped now.
    """

    def __init__(self, batches: Batches, place: Callable[[Tree], Tree] | None = None) -> None:
        self._batches, self._place, self.position = batches, place, batches.position
        self._ahead: list[Tree] = []  # one at most
        self._running, self._problem = (), None
        self._watcher, self._waited_s = ThreadPoolExecutor(1), 0.0

    def next(self) -> Tree:
        """The next batch; it is read now where none was read ahead.

        Raises:
          Exception: What reading it has raised, here or ahead.
        """
        if self._problem:
            raise self._problem
        if not self._ahead:
            self._take()
        self.position += 1
        return self._ahead.pop()

    def ahead(self, running: Tree) -> None:
        """Reads the batch of the next step and brings it to the devices.

        It waits for the step before the one that was called last: calls return early, and all the
        batches of steps that have not begun would lie on the devices. What reading raises is left
        to `next`: the step before may have to be saved.

        Args:
          running: Results of the step that was called last.
        """
        jax.block_until_ready(self._running)
        self._running = running
        try:
            self._take()
        except Exception as error:
            self._problem = error

    def lap(self) -> float:
        """Seconds that the devices have waited since the last lap."""
        waited_s, self._waited_s = self._waited_s, 0.0
        return waited_s

    def close(self) -> None:
        """Gives up what was read ahead; `batches` stay open."""
        self._ahead.clear()
        self._watcher.shutdown(wait=False)

    def _take(self) -> None:
        begun = time.monotonic()
        # Where the devices still compute, only a thread can tell when they stop: reading waits.
        ended = None if _done(self._running) else self._watcher.submit(_end, self._running)
        self._ahead.append(next(self._batches) if self._place is None
                           else self._batches.take(self._place))
        if ended is None:
            self._waited_s += time.monotonic() - begun
        elif ended.done():
            self._waited_s += time.monotonic() - ended.result()


def _done(running: Tree) -> bool:
    return all(leaf.is_ready() for leaf in jax.tree.leaves(running) if isinstance(leaf, jax.Array))


def _end(running: Tree) -> float:
    """Waits for results; the time at which they were there."""
    with contextlib.suppress(Exception):  # whoever reads them is told
        jax.block_until_ready(running)
    return time.monotonic()


def _check_finite(step: int, metrics: dict[str, Mean], checkpoints: Checkpoints) -> None:
    for name, value in compute(counted(metrics)).items():
        if not math.isfinite(value):
            last = checkpoints.latest_step()
            kept = f"the checkpoint of step {last} is kept" if last else "no checkpoint was written"
            raise Diverged(f"{name} is {value} at step {step}, so training stopped ({kept}); lower "
                           f"the learning rate or set optimizer.clip_norm")
