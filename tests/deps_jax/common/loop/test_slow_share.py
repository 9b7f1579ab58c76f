"""A run whose folder lies on a slow drive: it comes to the same, and what it waits for is told."""
import os
import time

import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.common.files import sealed
from deps_jax.common.loop import goodput, writer
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.fit import Cadence, fit
from deps_jax.common.loop.goodput import Spending
from deps_jax.common.loop.metrics import Mean
from deps_jax.common.loop.writer import Writer

DELAY_S = 0.02


class Batches:
    position = 0

    def __next__(self):
        self.position += 1
        return self.position


@pytest.fixture
def slow(monkeypatch):
    """Every file that is brought to the drive or renamed there takes a while; their number."""
    calls = []

    def slower(name, real):
        def wait(*arguments):
            calls.append(name)
            time.sleep(DELAY_S)
            return real(*arguments)

        monkeypatch.setattr(os, name, wait)

    for name in ("fsync", "replace", "rename"):
        slower(name, getattr(os, name))
    return calls


def train(folder, steps=6):
    with_one = Writer(folder)
    try:
        return fit(lambda step, state, batch: (
            {"w": state["w"] * 1.5 + batch}, {"loss": Mean.of(state["w"])}), {"w": jnp.ones(3)},
            Batches(), total_steps=steps, batch_size=1, writer=with_one,
            cadence=Cadence(log_every=1, checkpoint_every=2),
            checkpoints=Checkpoints(folder / "checkpoints"), spending=Spending(folder))
    finally:
        with_one.close()


def test_it_comes_to_the_same_and_is_told_as_time_of_checkpoints(tmp_path, slow):
    state = train(tmp_path / "slow")
    waited = len(slow) * DELAY_S
    kept = Checkpoints(tmp_path / "slow" / "checkpoints")
    np.testing.assert_array_equal(kept.arrays()["w"], state["w"])
    assert kept.latest_step() == 6
    assert [line["step"] for line in writer.read(tmp_path / "slow")] == list(range(1, 7))
    spent = goodput.read(tmp_path / "slow").seconds
    # The list of metrics is opened before: that is part of the start.
    assert spent["checkpoints"] > waited - 10 * DELAY_S and spent["checkpoints"] > spent["steps"]


def test_a_line_waits_for_one_file_and_a_checkpoint_for_few(tmp_path, slow):
    with_one, spending = Writer(tmp_path), Spending(tmp_path)
    del slow[:]
    for step in range(20):
        with_one.write(step, {"loss": 1.0})
        spending.write(step)
    with_one.close()
    assert len(slow) <= 21  # that of TensorBoard, which its library brings to the drive each time
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (1, 2, 3):
        del slow[:]
        checkpoints.save(step, {"w": jnp.ones(3)})
        assert len(slow) <= 20  # orbax's own included


def test_of_a_long_log_only_the_end_is_read(tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_bytes(sealed.line({"step": 0}).encode() * 100_000)
    start = time.process_time()
    for step in range(200):
        sealed.append(path, {"step": step})
    assert time.process_time() - start < 1.0  # as a whole it took 200 times 2 ms and more
    assert path.read_bytes().endswith(sealed.line({"step": 199}).encode())
