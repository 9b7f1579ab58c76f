"""The training step over a whole run: on one device and two, compiled, continued, refused."""
import contextlib
import dataclasses
import io
from concurrent.futures import Future
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compilations import compilations
from small_run import METHOD, RECIPE, SPACE, fresh_state

from deps_jax.common.compiled import programs
from deps_jax.common.loop.parallel import DataParallel
from deps_jax.training import trainer as trainers
from deps_jax.training.methods import BIGNAS, DEPS, PLAIN
from deps_jax.training.trainer import Trainer, sort_state

KEY = jax.random.key(7)


@pytest.fixture(scope="module", autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def batch(step):
    """Sixteen images never seen before, each of the colour of its class under noise."""
    generator = np.random.default_rng(step)
    label = generator.integers(0, 5, 16).astype(np.int32)
    colours = np.array([[0, 0, 0], [90, 0, 0], [0, 90, 0], [0, 0, 90], [90, 90, 90]])
    noise = generator.integers(0, 160, (16, 9, 9, 3))
    return {"image": (noise + colours[label][:, None, None]).astype(np.uint8), "label": label}


class Prepared:
    """A trainer on so many devices whose steps are compiled, and what was compiled and said."""

    def __init__(self, count: int):
        self.trainer = Trainer(dataclasses.replace(RECIPE, dtype="float64"), KEY,
                               devices=jax.devices()[:count])
        said = io.StringIO()
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype),
                              (fresh_state(RECIPE), batch(0)))
        with compilations() as self.programs, contextlib.redirect_stdout(said):
            self.trainer.compile(*shapes)
        self.said = said.getvalue()

    def run(self, state, start, end):
        """States before each step and after the last, and the metrics of each step."""
        states, history = [state], []
        for step in range(start, end):
            state, metrics = self.trainer(step, state, batch(step))
            state = jax.device_get(state)  # a copy: the step takes the state's memory
            states.append(state)
            history.append({name: mean.compute() for name, mean in metrics.items()})
        return states, history


@pytest.fixture(scope="module")
def one_device():
    return Prepared(1)


@pytest.fixture(scope="module")
def two_devices():
    return Prepared(2)


@pytest.fixture(scope="module")
def trained(one_device):
    with compilations() as programs:
        states, history = one_device.run(fresh_state(RECIPE), 0, 40)
    return states, history, programs


def test_everything_is_compiled_before_the_first_step(one_device, two_devices, trained):
    with compilations() as on_two:
        two_devices.run(fresh_state(RECIPE), 0, 2)
        two_devices.run(trained[0][8], 8, 10)
    for prepared, later in ((one_device, trained[2]), (two_devices, on_two)):
        assert len(prepared.programs) == 3  # two steps and the sorting
        assert not set(prepared.programs) & set(later)
        lines = prepared.said.splitlines()
        assert sorted(line.split(":")[0] for line in lines) == ["full-model step", "supernet step"]
        assert all(0 < float(line.split()[-2]) < 1000 and line.endswith(" MB") for line in lines)


@pytest.mark.parametrize(("method", "start_step", "needed"), [
    (METHOD, 0, ["full", "supernet", "sort"]), (METHOD, 7, ["full", "supernet", "sort"]),
    (METHOD, 8, ["supernet", "sort"]), (METHOD, 9, ["supernet"]), (METHOD, 40, []),
    (BIGNAS, 0, ["supernet"]), (PLAIN, 0, ["full"]), (PLAIN, 40, [])])
def test_only_what_the_rest_of_a_run_needs_is_compiled(method, start_step, needed, monkeypatch):
    trainer = Trainer(dataclasses.replace(RECIPE, method=method), KEY)
    compiled = []
    names = {id(step): name.split("-")[0].split()[0] for (name, _), step in trainer.steps.items()}

    def prepare(self, *_):
        compiled.append(names[id(self)])
        ready = Future()
        ready.set_result(None)
        return ready

    monkeypatch.setattr(DataParallel, "prepare", prepare)

    class Sort:
        def lower(self, _):
            return self

        def compile(self):
            compiled.append("sort")

    monkeypatch.setattr(trainer, "entries", {name: Sort() for name in trainer.entries})
    trainer.compile({}, {}, start_step)
    assert compiled == needed


def test_kept_steps_are_read_and_take_the_same_step(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(programs.OFF)
    before = jax.config.jax_compilation_cache_dir
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype),
                          (fresh_state(RECIPE), batch(0)))
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        for said in ("traced", "read from the cache"):
            trainer = Trainer(dataclasses.replace(RECIPE, dtype="float64"), KEY,
                              devices=jax.devices()[:1])
            trainer.compile(*shapes)
            lines = capsys.readouterr().out.splitlines()
            assert len(lines) == 2 and all(f": {said}" in line for line in lines)
        states, history, _ = trained
        with compilations() as compiled:
            for step in (0, 12):
                state, metrics = trainer(step, states[step], batch(step))
                chex.assert_trees_all_equal(jax.device_get(state), states[step + 1])
                assert {name: mean.compute() for name, mean in metrics.items()} == history[step]
        assert not [name for name in compiled if "train_step" in name]
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.parametrize("step", [0, 8, 12, 16, 30])
def test_two_devices_equal_one(step, trained, two_devices):
    """In warm-up, where channels are sorted and the ramp begins, on it, at its end, after it."""
    states, history, _ = trained
    (_, state), (metrics,) = two_devices.run(states[step], step, step + 1)
    chex.assert_trees_all_close(state, states[step + 1], atol=1e-9, rtol=0)
    chex.assert_trees_all_close(metrics, history[step], atol=1e-9, rtol=0)
    moved = jax.tree.map(lambda new, old: np.abs(new - old).max(), state.params,
                         states[step].params)
    assert min(jax.tree.leaves(moved["head"])) > 1e-5


def test_continuing_is_bit_identical(one_device, trained):
    states, history, _ = trained
    continued, again = one_device.run(states[6], 6, 12)  # over the sorting
    chex.assert_trees_all_equal(continued[-1], states[12])
    assert again == history[6:12]


def test_subnets_join_at_the_switch_and_all_networks_learn(trained):
    """Every batch is new, so that what is learned is the classes and not the images."""
    _, history, _ = trained
    assert ["subnet_loss" in metrics for metrics in history] == [False] * 8 + [True] * 32
    assert all(np.isfinite(list(metrics.values())).all() for metrics in history)
    last = {name: np.mean([metrics[name] for metrics in history[-8:]]) for name in history[-1]}
    chance = np.log(5)
    assert last["top1"] > 0.7 and last["loss"] < 0.7 * chance, last
    assert last["subnet_loss"] < 0.9 * chance, last


def test_the_step_of_the_loop_is_that_of_the_state(one_device, trained, monkeypatch):
    states, *_ = trained
    trainer = one_device.trainer
    with pytest.raises(ValueError, match="the loop is at step 3, the state at step 0; continue at"):
        trainer(3, states[0], batch(3))
    trainer(7, states[7], batch(7))
    with pytest.raises(ValueError, match="the loop is at step 8, the state at step 7"):
        trainer(8, states[7], batch(8))  # the loop counted on, but with an old state
    asked, check = [], trainers._check_step
    monkeypatch.setattr(trainers, "_check_step",
                        lambda *args: (asked.append(args[0]), check(*args)))
    one_device.run(states[5], 5, 11)
    assert asked == [5, 8]  # no other step waits for the device


def parts_of_parameters(params):
    """Three groups, as where parts of a network are frozen or have a rate of their own."""
    group = {"stem": "frozen", "stage0": "momentum"}
    return {name: jax.tree.map(lambda _, name=name: group.get(name, "adam"), part)
            for name, part in params.items()}


def test_sorting_permutes_every_momentum_wherever_the_optimizer_keeps_it(trained):
    state = trained[0][0]
    kernels = jax.tree.map(lambda leaf: leaf.ndim > 1, state.params)
    groups = parts_of_parameters(state.params)
    transform = optax.chain(
        RECIPE.transform(),
        optax.masked(optax.trace(0.9), kernels),
        optax.multi_transform({"momentum": optax.trace(0.9), "adam": optax.scale_by_adam(),
                               "frozen": optax.set_to_zero()}, groups))
    state = state.replace(opt_state=transform.init(state.params))

    like_params = optax.tree_map_params(
        transform, lambda leaf, p: leaf if isinstance(leaf, optax.MaskedNode) else leaf + 3 * p,
        state.opt_state, state.params, is_leaf=lambda leaf: isinstance(leaf, optax.MaskedNode))
    sorted_state = jax.jit(sort_state, static_argnums=(0, 1))(
        SPACE, transform, state.replace(opt_state=like_params))
    moved = np.any(sorted_state.params["stage0"]["first"]["project"]["kernel"]
                   != state.params["stage0"]["first"]["project"]["kernel"])
    assert moved
    known = {jax.tree_util.keystr(path): leaf
             for path, leaf in jax.tree_util.tree_leaves_with_path(sorted_state.params)}
    momenta = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(sorted_state.opt_state):
        if leaf.ndim:
            name = next(name for name in known if jax.tree_util.keystr(path).endswith(name))
            np.testing.assert_array_equal(leaf, 3 * known[name])
            momenta += 1
    of_group = [jax.tree.leaves(groups).count(name) for name in ("momentum", "adam")]
    assert momenta == (len(known) + sum(jax.tree.leaves(kernels))  # of the recipe, of `masked`
                       + of_group[0] + 2 * of_group[1])


def test_an_array_of_the_optimizer_that_sorting_does_not_know_is_refused(trained):
    state = trained[0][0]
    keeps_own = optax.GradientTransformation(
        lambda params: {"average": jnp.zeros(3)}, lambda updates, state, _: (updates, state))
    with pytest.raises(AssertionError, match=r"an array \(3,\) of the optimizer would stay"):
        jax.eval_shape(partial(sort_state, SPACE, keeps_own),
                       state.replace(opt_state=keeps_own.init(state.params)))


def test_recipe_refuses_bad_settings():
    with pytest.raises(ValueError, match="dtype 'float16'"):
        dataclasses.replace(RECIPE, dtype="float16")
    with pytest.raises(ValueError, match="dropout_rate 1"):
        dataclasses.replace(RECIPE, dropout_rate=1)
    compound = dataclasses.replace(DEPS, sampling="compound")
    uneven = dataclasses.replace(SPACE, stages=(
        dataclasses.replace(SPACE.stages[0], expands=(1, 2, 3)),))
    with pytest.raises(ValueError, match="compound sampling pairs"):
        dataclasses.replace(RECIPE, method=compound, space=uneven)
    with jax.enable_x64(False), pytest.raises(ValueError, match="'float64' would compute in float"):
        dataclasses.replace(RECIPE, dtype="float64")


def test_batch_that_does_not_divide_is_refused(two_devices):
    odd = jax.tree.map(lambda x: x[:7], batch(0))
    with pytest.raises(ValueError, match="batch size 7 does not divide by 2 devices"):
        two_devices.trainer(0, fresh_state(RECIPE), odd)
