"""One batch waits on the devices, none more; what is read ahead does not count as trained."""
import contextlib
import signal
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.common.loop.batches import Batches
from deps_jax.common.loop.fit import Cadence, Feeder, Interrupted, fit
from deps_jax.common.loop.metrics import Mean
from deps_jax.common.loop.parallel import data_parallel, mean_over_devices


class Lines:
    def __init__(self):
        self.records = []

    def write(self, step, values):
        self.records.append(values)


class Saves:
    def __init__(self):
        self.positions = {}

    def latest_step(self):
        return None

    def save(self, step, state, position):
        self.positions[step] = position


@jax.jit
def slow(x):
    """Some tenths of a second, which the caller does not wait for."""
    return jax.lax.fori_loop(0, 60, lambda _, y: x @ y / 400, x).sum()


def test_one_batch_is_placed_while_the_step_before_is_computed():
    """Placing the batch of step 2 waits for the end of step 0, not for that of step 1."""
    x, results, seen = jnp.ones((400, 400)), [], []
    jax.block_until_ready(slow(x))

    def place(batch):
        seen.append((len(results), [result.is_ready() for result in results[:-1]]))
        return batch

    def step_fn(step, state, batch):
        results.append(slow(x))
        return state, {"loss": Mean.of(results[-1][None])}

    fit(step_fn, 0, Batches(range(8), 2, 0), total_steps=6, batch_size=2, cadence=Cadence(100),
        checkpoints=Saves(), writer=Lines(), place=place)
    assert [steps for steps, _ in seen] == list(range(6))  # none for a step that does not come
    assert all(all(ready) for _, ready in seen)


def test_what_is_read_ahead_is_not_counted_and_comes_next():
    batches = Batches(range(8), 2, 0, threads=0)
    feeder = Feeder(batches)
    first = feeder.next()
    assert (feeder.position, batches.position) == (1, 1)
    feeder.ahead(())
    assert (feeder.position, batches.position) == (1, 2)
    second = feeder.next()
    assert (feeder.position, batches.position) == (2, 2)
    again = Batches(range(8), 2, 0, threads=0)
    assert [first.tolist(), second.tolist()] == [next(again).tolist() for _ in range(2)]
    feeder.close()


@pytest.mark.parametrize("stop_at", [1, 3, 4])
def test_a_run_goes_on_with_the_batch_after_the_last_that_was_trained(stop_at):
    """However far batches were read ahead where it was stopped or killed."""
    def train(total, start, position, stop=lambda _: False):
        saves, seen, batches = Saves(), [], Batches(range(8), 2, 0, threads=0)
        batches.seek(position)

        def step_fn(step, state, batch):
            seen.append(batch.tolist())
            if stop(step):
                signal.raise_signal(signal.SIGTERM)
            return state, {"loss": Mean.of(jnp.zeros(1))}

        with contextlib.suppress(Interrupted):
            fit(step_fn, 0, batches, total_steps=total, batch_size=2, cadence=Cadence(1, 2),
                checkpoints=saves, writer=Lines(), place=lambda batch: batch, start_step=start)
        return seen, saves.positions

    whole, positions = train(8, 0, 0)
    assert positions == {2: 2, 4: 4, 6: 6, 8: 8}
    stopped, positions = train(8, 0, 0, lambda step: step + 1 == stop_at)
    assert positions[stop_at] == stop_at == len(stopped)
    assert stopped + train(8, stop_at, positions[stop_at])[0] == whole


def test_what_was_trained_is_saved_before_a_batch_that_cannot_be_read_is_told():
    class Damaged(Batches):
        def __next__(self):
            if self.position == 4:
                raise ValueError("a.jpg is damaged")
            return super().__next__()

    saves = Saves()
    with pytest.raises(ValueError, match=r"a\.jpg is damaged"):
        fit(lambda step, state, batch: (state, {"loss": Mean.of(jnp.zeros(1))}), 0,
            Damaged(range(8), 2, 0), total_steps=8, batch_size=2, cadence=Cadence(1, 2),
            checkpoints=saves, writer=Lines())
    assert saves.positions == {2: 2, 4: 4}


def test_the_time_in_which_the_devices_wait_is_told_where_a_call_does_not_wait():
    """Most of it passes after the step has ended, which was not known when reading began."""
    class Slow(Batches):
        def __next__(self):
            time.sleep(0.6)
            return super().__next__()

    quick, x, lines = jax.jit(lambda x: (x @ x).sum()), jnp.ones((800, 800)), Lines()
    jax.block_until_ready(quick(x))
    fit(lambda step, state, batch: (state, {"loss": Mean.of(quick(x)[None])}), 0,
        Slow(range(8), 2, 0), total_steps=3, batch_size=2, cadence=Cadence(3), checkpoints=Saves(),
        writer=lines)
    assert lines.records[-1]["data_wait_fraction"] > 0.6


def summed(state, batch, extra, *, axis_name):
    """A step whose result tells which example went where."""
    weights = 1 + jnp.arange(batch["x"].shape[0])
    return state + mean_over_devices((batch["x"].sum(1) * weights).sum() * extra, axis_name)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("made_of", [(), ("summed",)], ids=["called", "compiled before"])
def test_a_placed_batch_is_not_copied_again(count, made_of):
    function = data_parallel(partial(summed), devices=jax.devices()[:count], made_of=made_of)
    state, extra = function.place((jnp.float32(1), jnp.float32(2)))
    batch = {"x": np.arange(24, dtype=np.float32).reshape(8, 3)}
    expected = function(state, batch, extra)
    placed = function.share(batch)
    function(state, placed, extra)
    for leaf in jax.tree.leaves(placed):
        assert {shard.device for shard in leaf.addressable_shards} == set(jax.devices()[:count])
        assert all(shard.data.size == 24 // count for shard in leaf.addressable_shards)
    with jax.transfer_guard("disallow_explicit"):
        found = function(state, placed, extra)
    np.testing.assert_array_equal(found, expected)


def test_a_batch_that_does_not_divide_is_refused_where_it_is_placed():
    function = data_parallel(summed, devices=jax.devices()[:2])
    with pytest.raises(ValueError, match="batch size 9 does not divide by 2 devices"):
        function.share({"x": np.zeros((9, 3), np.float32)})
