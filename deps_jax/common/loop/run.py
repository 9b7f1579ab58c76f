"""The frame of every training: one run in one folder, continued where an earlier one stopped.

    with claim(folder, config, may_differ=MAY_DIFFER, records={"splits.json": splits}):
        with continue_or_start(folder, shapes, new_state, batches) as run:
            state = run.fit(step_fn, total_steps=1000, batch_size=64, cadence=Cadence())

Several processes may train one run (`processes`): the folder lies on a drive that they share, the
first of them writes there, and all are seen to train the same.
"""
from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from deps_jax.common.compiled.described import own_sources
from deps_jax.common.files import workdir
from deps_jax.common.files.locks import training
from deps_jax.common.files.sealed import tell
from deps_jax.common.loop import writer
from deps_jax.common.loop.batches import Batches
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.fit import fit
from deps_jax.common.loop.goodput import Spending
from deps_jax.common.loop.writer import Writer
from deps_jax.common.processes.together import check_alike, first, first_does

CHECKPOINTS = "checkpoints"  # folder of them in that of the run


@dataclasses.dataclass
class Run:
    """A training that goes on at `start_step`.

    Attributes:
      state: State after `start_step` steps.
      start_step: Number of steps done before; 0 in a new run.
      batches: Batches, at the place where the state was saved.
      checkpoints: Checkpoints of the run.
      writer: Writer of its metrics.
      spending: Counts what its time is spent on.
    """

    state: Any
    start_step: int
    batches: Batches
    checkpoints: Checkpoints
    writer: Writer
    spending: Spending

    def fit(self, step_fn: Callable, **settings: Any) -> Any:
        """Runs `fit` from `start_step` on; returns the last state, which is saved."""
        state = fit(step_fn, self.state, self.batches, checkpoints=self.checkpoints,
                    writer=self.writer, start_step=self.start_step, spending=self.spending,
                    **settings)
        print(self.spending.so_far(), flush=True)
        return state


def saved(folder: Path) -> Checkpoints:
    """The checkpoints of the run in `folder`."""
    return Checkpoints(Path(folder) / CHECKPOINTS)


@contextlib.contextmanager
def claim(folder: Path, config: dict, **rest: Any) -> Iterator[None]:
    """Inside, the folder is this experiment's, and no other process trains in it.

    What else can be refused should be refused before: here the folder is made.

    Args:
      folder: Folder of the experiment.
      config, rest: Arguments of `workdir.claim`.

    Raises:
      ValueError: If another process trains in the folder, or `workdir.claim` raises one.
    """
    with contextlib.ExitStack() as held:
        def take() -> None:
            workdir.make(folder)
            held.enter_context(training(Path(folder)))
            workdir.claim(folder, config, **rest)

        first_does(take)
        if jax.process_count() > 1:
            check_alike(config=workdir.compared(config, **rest), version=own_sources(),
                        data=rest.get("records"))
        yield


@contextlib.contextmanager
def continue_or_start(folder: Path, shapes: Any, new_state: Callable[[], Any], batches: Batches
                      ) -> Iterator[Run]:
    """The run as its newest whole checkpoint has it, or a new one; to be used inside `claim`.

    Args:
      folder: Folder of the run.
      shapes: Shapes of a state, as `jax.eval_shape` gives them.
      new_state: Makes the state before the first step; not called when a run continues.
      batches: Batches of the training data; they are set to their place, and closed in the end.

    Raises:
      ValueError: If the disk is too small for the checkpoints, there are some and none is whole,
        or they are of another network.
    """
    with contextlib.closing(batches):
        checkpoints = saved(folder)
        checkpoints.check_disk(shapes)
        start_step = checkpoints.latest_step() or 0
        check_alike(checkpoint=start_step)
        if not start_step and (lines := writer.read(folder)):
            tell(f"{folder} holds metrics up to step {lines[-1]['step']} but no checkpoint, so "
                 f"training starts anew")
        state = checkpoints.restore(shapes, batches) if start_step else new_state()
        told = Path(folder) if first() else None
        with contextlib.closing(Writer(told, start_step)) as opened:
            yield Run(state, start_step, batches, checkpoints, opened,
                      Spending(told, start_step))
