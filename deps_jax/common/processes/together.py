"""What the processes of a run do together: the first does it for all, or all are alike.

With one process everything here is what it would be without.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

import jax
import numpy as np
from jax.experimental import multihost_utils

_MESSAGE_BYTES = 2048


def first() -> bool:
    """Whether this is the process that writes and prints."""
    return jax.process_index() == 0


def first_does(action: Callable[[], None]) -> None:
    """Lets the first process do something for all; the others wait until it is done.

    Raises:
      ValueError: In all processes if it raises an OSError or ValueError in the first, so that none
        waits for one that has gone; the first raises its own.
    """
    if jax.process_count() == 1:
        action()
        return
    error = None
    if first():
        try:
            action()
        except (OSError, ValueError) as raised:
            error = raised
    problem = _from_first(str(error) if error else "")
    if error:
        raise error
    if problem:
        raise ValueError(f"the first process could not go on: {problem}")


def check_alike(**what: object) -> None:
    """Raises ValueError in all processes unless each has the same; it names the first that differs.

    Args:
      what: Values by what they are, in words with "_"; those that print alike are alike.
    """
    if jax.process_count() == 1:
        return
    texts = [str(value) for value in what.values()]
    found = multihost_utils.process_allgather(np.array([_number(text) for text in texts]))
    for name, text, each in zip(what, texts, found.T, strict=True):
        other = np.flatnonzero(each != each[0])
        if len(other):
            raise ValueError(
                f"process {other[0]} has another {name.replace('_', ' ')} than process 0 (here it "
                f"is {text:.80}); start all processes with the same command and version, on the "
                f"same data, with --workdir on a drive that they share")


def as_first(values: dict[str, float]) -> dict[str, float]:
    """The values of the first process, in all: what is decided by them is decided alike.

    Processors of several kinds may differ in the last digits.
    """
    return values if jax.process_count() == 1 else json.loads(_from_first(json.dumps(values)))


def all_devices() -> list[jax.Device]:
    """The devices of all processes, those of one process beside each other.

    JAX may list them in another order: on a slice of TPUs, numbers go along rows of chips that
    several machines share.
    """
    return sorted(jax.devices(), key=lambda device: (device.process_index, device.id))


def my_places(batch_size: int, parts: int = 1) -> np.ndarray | None:
    """Which examples of every batch this process takes, [n] ascending; None for all.

    Those of its devices: a batch is divided in parts, each part among `all_devices`, in that order.

    Args:
      batch_size: Number of examples of a batch, a multiple of devices times parts.
      parts: Number of parts that a step goes through one after the other.
    """
    if jax.process_count() == 1:
        return None
    owners = np.array([device.process_index for device in all_devices()])
    places = np.arange(batch_size).reshape(parts, len(owners), -1)
    return places[:, owners == jax.process_index()].ravel()


class Stop:
    """Whether the run has been asked to stop, by SIGINT or SIGTERM; all processes agree when.

    Attributes:
      signal: The signal that asked this process; SIGTERM where another was asked.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self, step: int) -> bool:
        """Whether to stop after so many steps; to be asked after every step."""
        if jax.process_count() == 1:
            return self.signal is not None
        if multihost_utils.reached_preemption_sync_point(step):
            self.signal = self.signal or signal.SIGTERM
            return True
        return False


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Inside, SIGINT and SIGTERM ask to stop; a second one of either kills."""
    stop = Stop()
    together = jax.process_count() > 1

    def handler(number: int, _: FrameType | None) -> None:
        stop.signal = number
        signal.signal(number, previous[number])
        if together:  # what all listen for
            os.kill(os.getpid(), signal.SIGTERM)

    # Of several processes, JAX catches SIGTERM, and all of them agree on the step.
    caught = (signal.SIGINT,) if together else (signal.SIGINT, signal.SIGTERM)
    try:
        previous = {s: signal.signal(s, handler) for s in caught}
    except ValueError:  # not in the main thread: the caller handles its own signals
        previous = {}
    try:
        yield stop
    finally:
        for number, old in previous.items():
            signal.signal(number, old)


def _from_first(text: str) -> str:
    """The text of the first process, in all of them."""
    content = np.zeros(_MESSAGE_BYTES, np.uint8)
    encoded = text.encode()[:_MESSAGE_BYTES]
    content[:len(encoded)] = np.frombuffer(encoded, np.uint8)
    told = np.asarray(multihost_utils.broadcast_one_to_all(content))
    return told.tobytes().rstrip(b"\0").decode(errors="replace")


def _number(text: str) -> int:
    """31 bits of a digest: JAX may know no longer numbers."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1
