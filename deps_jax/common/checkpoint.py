"""Checkpoints: training state, place in the data, and what they belong to, written as one."""
from __future__ import annotations

import errno
import math
import shutil
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from deps_jax.common.batches import Batches


class Checkpoints:
    """The newest checkpoints of a run.

    Args:
      folder: made when the first is saved.
      keep: how many.
    """

    def __init__(self, folder: Path, keep: int = 2):
        self.folder, self._keep = Path(folder).absolute(), keep
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def latest_step(self) -> int | None:
        return self._manager.latest_step()

    def check_disk(self, state) -> None:
        """Raises ValueError when the disk cannot hold the checkpoints of a run.

        Args:
          state: pytree of arrays or of their shapes.
        """
        leaves = jax.tree.leaves(state)
        each = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
        needed = each * (self._keep + 1) * 1.1
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise ValueError(f"{self.folder} has {free / 1e6:.0f} MB free, checkpoints of this run "
                             f"need {needed / 1e6:.0f} MB; free some space or choose another "
                             f"--workdir")

    def save(self, step: int, state, position: int | None = None,
             record: dict | None = None) -> None:
        """Saves `state` and the place in the data; ValueError when the disk is full.

        Args:
          position: how many batches were taken; None where that is the step.
          record: plain values that `record()` gives back.
        """
        if step == self.latest_step():
            return
        meta = {"shapes": _shapes(state), "record": record or {},
                "position": step if position is None else position}
        items = ocp.args.Composite(state=ocp.args.StandardSave(state),
                                   meta=ocp.args.JsonSave(meta))
        try:
            self._manager.save(step, args=items)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ValueError(f"the disk of {self.folder} is full at step {step}, the "
                                 f"checkpoint of step {self.latest_step()} is kept; free some "
                                 f"space and run the same command again") from error
            raise

    def restore(self, state, batches: Batches):
        """The newest state, with `batches` set to where they were.

        Args:
          state: a state of the same shapes, whose values are not used.

        Raises:
          ValueError: naming the first array of another name or shape.
        """
        restored = self.restore_state(state)
        step = self._newest()
        # A checkpoint of an earlier version holds no position: it took one batch a step.
        batches.seek(self._meta(step).get("position", step))
        return restored

    def restore_state(self, state):
        """The newest state alone; arguments and errors as in `restore`.

        Raises:
          ValueError: also when there is no checkpoint.
        """
        step = self._newest()
        self._check_shapes(step, state)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(_abstract(state)))
        return self._manager.restore(step, args=items)["state"]

    def restore_part(self, part: dict) -> dict:
        """Some fields of the newest state.

        Args:
          part: {field: tree of arrays of the same shapes}.

        Raises:
          ValueError: as `restore_state`.
        """
        step = self._newest()
        self._check_shapes(step, part, fields=tuple(part))
        part = _abstract(part)
        items = ocp.args.Composite(state=ocp.args.PyTreeRestore(
            part, ocp.checkpoint_utils.construct_restore_args(part), partial_restore=True))
        return self._manager.restore(step, args=items)["state"]

    def shapes(self) -> dict[str, list[int]]:
        """Shapes of the arrays in the newest state, by name such as "params/stem/kernel".

        Raises:
          ValueError: when there is no checkpoint.
        """
        return self._meta(self._newest())["shapes"]

    def record(self) -> dict:
        """What was saved as `record` with the newest state; empty without a checkpoint."""
        step = self.latest_step()
        return {} if step is None else self._meta(step).get("record", {})

    def _newest(self) -> int:
        step = self.latest_step()
        if step is None:
            raise ValueError(f"{self.folder} holds no checkpoint; train first")
        return step

    def _meta(self, step: int) -> dict:
        return self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))[
            "meta"]

    def _check_shapes(self, step: int, state, fields: tuple[str, ...] = ()) -> None:
        saved, wanted = self._meta(step)["shapes"], _shapes(state)
        if fields:
            saved = {name: shape for name, shape in saved.items() if name.split("/")[0] in fields}
        for name in sorted(saved.keys() | wanted.keys()):
            if saved.get(name) != wanted.get(name):
                raise ValueError(
                    f"the checkpoint of step {step} in {self.folder} is of another network: "
                    f"{name} is {saved.get(name, 'absent')} there and {wanted.get(name, 'absent')} "
                    f"here; use the space it was trained in or another --workdir")


def _shapes(state) -> dict[str, list[int]]:
    return {jax.tree_util.keystr(path, simple=True, separator="/"): list(leaf.shape)
            for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


def _abstract(state):
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state)
