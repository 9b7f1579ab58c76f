"""Checkpoints: training state, place in the data, and what they belong to, written as one.

    FOLDER/STEP/state/       arrays, as orbax writes them
    FOLDER/STEP/meta.json    their shapes, the place in the data, what was recorded

`saved_steps` says how they are protected from damage. Where several processes train one run, all
have the same state: the first writes it, and each reads it for itself.
"""
from __future__ import annotations

import contextlib
import logging
import math
import mmap
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from deps_jax.common.files import checksums
from deps_jax.common.files.sealed import digest
from deps_jax.common.loop.batches import Batches
from deps_jax.common.loop.parallel import Tree
from deps_jax.common.loop.saved_steps import Step, Steps
from deps_jax.common.processes.together import first, first_does

THREADS_BYTES = 2 ** 28  # of address space: stacks and heaps of the threads that orbax starts


class Checkpoints:
    """The newest checkpoints of a run.

    What is read is of the newest step that is whole; that newer ones are damaged is told once.
    Opening and reading creates nothing and deletes nothing.

    Args:
      folder: Folder of the checkpoints, made when the first is saved.
      keep: Number of checkpoints to keep, two or more.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self._steps = Steps(folder, keep)
        self.folder = self._steps.folder

    def latest_step(self) -> int | None:
        """Number of the newest whole step; None if none was ever saved.

        Raises:
          ValueError: If there are steps and none is whole.
        """
        found = self._steps.newest()
        return found.step if found else None

    def any(self) -> bool:
        """Whether something was ever saved, whole or not."""
        return self._steps.any()

    def check_disk(self, state: Tree) -> None:
        """Raises ValueError if the disk cannot hold the checkpoints of a run.

        Args:
          state: Pytree of arrays, or of jax.ShapeDtypeStruct in their place.
        """
        leaves = jax.tree.leaves(state)
        each = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
        needed = each * (self._steps.keep + 1) * 1.1
        there = next(path for path in (self.folder, *self.folder.parents) if path.is_dir())
        free = shutil.disk_usage(there).free
        if free < needed:
            raise ValueError(f"{self.folder} has {free / 1e6:.0f} MB free, checkpoints of this run "
                             f"need {needed / 1e6:.0f} MB; free some space or choose another "
                             f"--workdir")

    def save(self, step: int, state: Tree, position: int | None = None,
             record: dict | None = None) -> None:
        """Saves `state` and the place in the data, in place of damaged and later steps.

        It does nothing if `step` is the newest whole step already.

        Args:
          position: Number of batches taken; None where it is `step`.
          record: Plain values that `record()` gives back.

        Raises:
          FullDisk: If the disk is full; the checkpoints that were there stay.
          MemoryError: If this process may not have the memory that saving takes.
        """
        meta = {"shapes": _shapes(state), "record": record or {},
                "position": step if position is None else position}

        def write(folder: Path) -> None:
            _ask_for_memory(state)
            _checkpointer(ocp.StandardCheckpointHandler).save(
                folder / "state", args=ocp.args.StandardSave(_writable(state)))

        def put() -> None:
            if step != self.latest_step():
                with _quiet():
                    self._steps.put(step, meta, write)

        first_does(put)
        if not first():
            self._steps.forget()

    def restore(self, state: Tree, batches: Batches) -> Tree:
        """The newest state, with `batches` set to where they were.

        Args:
          state: A state of the same shapes, whose values are not used.
          batches: The batches of the run.

        Raises:
          ValueError: If there is no checkpoint, or it has other arrays; the message names the first
            array of another name or shape.
        """
        restored = self.restore_state(state)
        found = self._newest()
        # A checkpoint of an earlier version holds no position: it took one batch a step.
        batches.seek(found.meta.get("position", found.step))
        return restored

    def restore_state(self, state: Tree) -> Tree:
        """The newest state alone; arguments and errors as in `restore`."""
        return self._read(state, ())

    def restore_part(self, part: dict) -> dict:
        """Some fields of the newest state.

        Args:
          part: Trees of arrays of the same shapes, by the name of the field.

        Raises:
          ValueError: If there is no checkpoint, or these fields have other arrays in it.
        """
        return self._read(part, tuple(part))

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays of the newest state, by name as in `shapes`.

        Raises:
          ValueError: If there is no checkpoint.
        """
        folder = self._newest().folder / "state"
        with _quiet():
            reader = _checkpointer(ocp.PyTreeCheckpointHandler)
            as_arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
                                     reader.metadata(folder).item_metadata.tree)
            state = reader.restore(folder, args=ocp.args.PyTreeRestore(restore_args=as_arrays))
        return dict(_named(state))

    def shapes(self) -> dict[str, list[int]]:
        """Shapes of the arrays in the newest state, by name such as "params/stem/kernel".

        Raises:
          ValueError: If there is no checkpoint.
        """
        return self._newest().meta["shapes"]

    def record(self) -> dict:
        """What was saved as `record` with the newest state; empty without a checkpoint."""
        found = self._steps.newest()
        return found.meta.get("record", {}) if found else {}

    def sha256(self) -> str:
        """SHA-256 over all files of the newest checkpoint, to tell which one a result belongs to.

        Raises:
          ValueError: If there is no checkpoint.
        """
        return digest(checksums.of_files(self._newest().folder))

    def _newest(self) -> Step:
        found = self._steps.newest()
        if found is None:
            raise ValueError(f"{self.folder} holds no checkpoint; train first")
        return found

    def _read(self, state: Tree, fields: tuple[str, ...]) -> Tree:
        """The state of the newest step, or some of its fields; () is all of them.

        Names and shapes of all arrays are compared before. It is read in parts, so that a state may
        have fields without arrays that an earlier version did not know.
        """
        wanted = _abstract(state)
        args = ocp.args.PyTreeRestore(
            wanted, ocp.checkpoint_utils.construct_restore_args(wanted), partial_restore=True)
        while True:
            found = self._newest()
            self._check_shapes(found, state, fields)
            try:
                with _quiet():
                    reader = _checkpointer(ocp.PyTreeCheckpointHandler)
                    return reader.restore(found.folder / "state", args=args)
            except Exception as error:  # orbax and TensorStore raise all kinds
                why = f"orbax cannot read it ({str(error).splitlines()[0]:.200})"
                if found.verified and found.folder.is_dir():
                    raise ValueError(
                        f"step {found.step} in {self.folder} is whole, but {why}; use the versions "
                        f"of JAX and orbax that wrote it") from error
                self._steps.refuse(found.step, why)

    def _check_shapes(self, found: Step, state: Tree, fields: tuple[str, ...]) -> None:
        saved, wanted = found.meta["shapes"], _shapes(state)
        if fields:
            saved = {name: shape for name, shape in saved.items() if name.split("/")[0] in fields}
        for name in sorted(saved.keys() | wanted.keys()):
            if saved.get(name) != wanted.get(name):
                if name.startswith("opt_state"):
                    raise ValueError(
                        f"training cannot go on from step {found.step} in {self.folder}, which "
                        f"another method, optimizer or version has written: {name} is "
                        f"{saved.get(name, 'absent')} there and {wanted.get(name, 'absent')} here; "
                        f"start from its weights in another --workdir with "
                        f"--config.init_from={self.folder.parent}")
                raise ValueError(
                    f"the checkpoint of step {found.step} in {self.folder} is of another network: "
                    f"{name} is {saved.get(name, 'absent')} there and {wanted.get(name, 'absent')} "
                    f"here; use the space it was trained in or another --workdir")


def _ask_for_memory(state: Tree) -> None:
    """Raises MemoryError where orbax would get no memory, before it starts threads.

    A thread that gets none before it can tell that it has started is waited for without an end
    (`threading.Thread.start` of Python 3.11). Address space is asked for, and none of it used.
    """
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + THREADS_BYTES
    try:
        mmap.mmap(-1, needed).close()
    except OSError as error:
        raise MemoryError(f"saving a checkpoint takes {needed / 1e6:.0f} MB more") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the tracebacks that orbax logs of every error that it also raises."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _checkpointer(handler: Callable) -> ocp.Checkpointer:
    """Orbax in this process alone, whether others train, too, or not."""
    alone = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(), active_processes={jax.process_index()},
        barrier_sync_key_prefix=f"process_{jax.process_index()}")
    return ocp.Checkpointer(handler(multiprocessing_options=alone),
                            multiprocessing_options=alone)


def _writable(state: Tree) -> Tree:
    """Orbax takes arrays on the devices of one process among several for shares of larger ones."""
    return state if jax.process_count() == 1 else jax.device_get(state)


def _named(state: Tree) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        yield jax.tree_util.keystr(path, simple=True, separator="/"), leaf


def _shapes(state: Tree) -> dict[str, list[int]]:
    return {name: list(leaf.shape) for name, leaf in _named(state)}


def _abstract(state: Tree) -> Tree:
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state)
