import os
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.common.loop.fit import Cadence, Diverged, Interrupted, fit
from deps_jax.common.loop.metrics import Mean, compute, merge
from deps_jax.common.loop.peak import peak_macs_per_second


class Batches:
    """Counts up; what a run continues from."""

    def __init__(self):
        self.position = 0

    def __next__(self):
        self.position += 1
        return self.position


class Saves:
    def __init__(self):
        self.steps = []

    def latest_step(self):
        return self.steps[-1] if self.steps else None

    def save(self, step, state, position):
        assert position == step  # data and state stand at the same place
        self.steps.append(step)


class Lines:
    def __init__(self):
        self.records = []

    def write(self, step, values):
        self.records.append((step, values))


def run(step_fn, total=10, evaluate=None, peak_macs_per_second=0.0, **cadence):
    saves, lines = Saves(), Lines()
    cadence = Cadence(**{"log_every": 2, "checkpoint_every": 4, **cadence})
    call = lambda: fit(step_fn, 0, Batches(), total_steps=total, batch_size=8, cadence=cadence,
                       checkpoints=saves, writer=lines, evaluate=evaluate,
                       peak_macs_per_second=peak_macs_per_second)
    return call, saves, lines


def counting(step, state, batch):
    assert batch == step + 1
    return state + 1, {"loss": Mean.of(jnp.array([float(step)]))}


def test_metrics_are_means_between_lines_and_checkpoints_come_in_time():
    call, saves, lines = run(counting, evaluate=lambda step, state: {"v": state}, evaluate_every=5)
    assert call() == 10
    assert saves.steps == [4, 8, 10]
    losses = [(step, values["loss"]) for step, values in lines.records if "loss" in values]
    assert losses == [(2, 0.5), (4, 2.5), (6, 4.5), (8, 6.5), (10, 8.5)]
    assert [(s, v["v"]) for s, v in lines.records if "v" in v] == [(5, 5), (10, 10)]
    assert all(v["images_per_second"] > 0 for _, v in lines.records if "loss" in v)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_step_that_diverged_is_named_and_never_saved(value):
    def step_fn(step, state, batch):
        return state, {"loss": Mean.of(jnp.array([value if step >= 6 else 1.0]))}

    call, saves, _ = run(step_fn, log_every=3)
    with pytest.raises(Diverged, match=r"at step 6, .*checkpoint of step 4 is kept"):
        call()
    assert saves.steps == [4]


def test_signal_saves_and_stops():
    def step_fn(step, state, batch):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return counting(step, state, batch)

    before = signal.getsignal(signal.SIGTERM)
    call, saves, _ = run(step_fn)
    with pytest.raises(Interrupted, match="after step 3 of 10"):
        call()
    assert saves.steps == [3]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_stop_where_an_evaluation_is_due_still_evaluates():
    def step_fn(step, state, batch):
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return counting(step, state, batch)

    call, saves, lines = run(step_fn, evaluate=lambda step, state: {"v": state}, evaluate_every=5)
    with pytest.raises(Interrupted):
        call()
    assert saves.steps == [4, 5] and lines.records[-1] == (5, {"v": 5})


def test_time_without_a_batch_is_told():
    class Slow(Batches):
        def __next__(self):
            time.sleep(0.02)
            return super().__next__()

    _, _, lines = run(counting)
    fit(counting, 0, Slow(), total_steps=4, batch_size=8, cadence=Cadence(log_every=4),
        checkpoints=Saves(), writer=lines, unit="clips")
    values = lines.records[-1][1]
    assert values["data_wait_fraction"] > 0.8 and 0 < values["clips_per_second"] < 8 / 0.02


def test_a_metric_that_nothing_was_counted_for_is_left_out():
    def step_fn(step, state, batch):
        some = jnp.array([float(step % 2)])
        return state, {"loss": Mean.of(some), "rare": Mean.of(some, some), "none": Mean.of(
            some, 0 * some)}

    call, _, lines = run(step_fn)
    call()
    assert all(values["rare"] == 1 and "none" not in values for _, values in lines.records)


def test_multiply_adds_a_second_are_told_beside_what_the_machine_can_do():
    def step_fn(step, state, batch):
        return state, {"macs": Mean.of(jnp.array([1000.0]))}

    call, _, lines = run(step_fn, peak_macs_per_second=1e9)
    call()
    for _, values in lines.records:
        assert values["macs_per_second"] == pytest.approx(1000 * values["images_per_second"])
        assert values["peak_fraction"] == pytest.approx(values["macs_per_second"] / 1e9)
    call, _, lines = run(counting, peak_macs_per_second=1e9)
    call()
    assert "peak_fraction" not in lines.records[0][1]


def test_the_peak_of_the_machine_is_above_what_a_small_product_reaches():
    ones = jnp.ones((64, 64))
    jax.block_until_ready(ones @ ones)
    start = time.perf_counter()
    jax.block_until_ready(ones @ ones)
    assert peak_macs_per_second() > 64**3 / (time.perf_counter() - start)


def test_bad_cadence_is_refused():
    with pytest.raises(ValueError, match="log_every 0"):
        Cadence(log_every=0)


def test_means_of_uneven_batches():
    first = {"a": Mean.of(jnp.array([1.0, 3.0, 9.0]), jnp.array([1, 1, 0]))}
    second = {"a": Mean.of(jnp.array([8.0])), "b": Mean.of(jnp.array([True, False]))}
    assert compute(merge(first, second)) == {"a": 4.0, "b": 0.5}
    assert np.isnan(Mean.of(jnp.array([1.0]), jnp.array([0])).compute())
