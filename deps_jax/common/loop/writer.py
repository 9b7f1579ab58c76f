"""Metrics to disk: one JSON line for each record, and the same numbers for TensorBoard."""
from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from deps_jax.common.files import sealed

FILE = "metrics.jsonl"


class Writer:
    """Appends to `metrics.jsonl` and `tensorboard/` in a folder.

    Args:
      folder: Folder of the run; None writes nothing, as all processes of a run but its first.
      start_step: Step at which a run continues; what was written at later steps is dropped.

    Raises:
      FullDisk: If the disk is full, here and in `write`; earlier lines stay.
    """

    def __init__(self, folder: Path | None, start_step: int = 0) -> None:
        self._file = self._events = None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE
        lines = [sealed.line(line) for line in read(folder) if line["step"] <= start_step]
        sealed.replace(self._path, "".join(lines))
        self._file = self._path.open("a")
        # Not tensorboardX's own SummaryWriter: its thread dies of a full disk, and then it waits
        # for that thread for ever.
        (folder / "tensorboard").mkdir(exist_ok=True)
        # TensorBoard reads files in the order of their names. A number in front of the time keeps
        # that of processes where the clock was set back; files without one come before.
        number = len(list((folder / "tensorboard").iterdir()))
        self._events = EventsWriter(str(folder / "tensorboard" / f"events_{number:05d}"),
                                    f".{os.getpid()}")
        if start_step or number:
            self._events.write_event(Event(step=start_step + 1, session_log=SessionLog(
                status=SessionLog.START)))  # hides what an earlier process wrote at later steps

    def write(self, step: int, values: dict[str, float]) -> None:
        """Records `values` after `step` steps."""
        if self._file is None:
            return
        with sealed.told_if_full(self._path, "the last checkpoint is kept"):
            self._file.write(sealed.line({"step": step, **values}))
            self._file.flush()
            for name, value in values.items():
                self._events.write_event(_event(step, name, value))
            self._events.flush()

    def close(self) -> None:
        """Closes the files; a full disk has been told already, and is not told again."""
        for file in filter(None, (self._file, self._events)):
            with contextlib.suppress(OSError):  # a full disk has been told already
                file.close()


def read(folder: Path) -> list[dict]:
    """Records of a folder's `metrics.jsonl`, in order; lines that are not whole are left out."""
    return sealed.read_lines(Path(folder) / FILE)


def _event(step: int, name: str, value: float) -> Event:
    event = Event(step=step, summary=scalar(name, value))
    event.wall_time = time.time()
    return event
