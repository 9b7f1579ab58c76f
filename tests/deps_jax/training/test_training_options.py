"""What any method can be trained with: averages, parts of batches, sizes of images, zero scales."""
import dataclasses
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from other_blocks import OWN
from small_run import RECIPE, SPACE, fresh_state
from tiny_run import run, tiny_config
from tiny_spaces import PIXELS, TINY

from deps_jax.common.loop.run import saved
from deps_jax.runs.trained import load_trained
from deps_jax.space.block import BOTTLENECK
from deps_jax.space.families import RESNET50D
from deps_jax.space.subnet_text import decode
from deps_jax.supernet import supernet
from deps_jax.supernet.elastic import Given, run_block
from deps_jax.supernet.zero_scales import zero_scales
from deps_jax.training.experiment import Experiment, check_parts
from deps_jax.training.methods import BIGNAS
from deps_jax.training.task import Moment
from deps_jax.training.train import init_state, train_step
from deps_jax.training.trainer import Trainer, sort_state

KEY = jax.random.key(7)


@pytest.fixture(scope="module", autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def steady(**changes):
    """A recipe with nothing random, so that equal images stay equal."""
    return dataclasses.replace(RECIPE, **{
        "method": BIGNAS, "augment": PIXELS, "dropout_rate": 0.0, "dtype": "float64",
        "average_decay": 0.9, **changes})


@pytest.fixture(scope="module")
def batch():
    """Eight images, and the same eight again."""
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (8, 9, 9, 3), np.uint8), np.arange(8) % 5
    return {"image": jnp.asarray(np.tile(images, (2, 1, 1, 1))),
            "label": jnp.asarray(np.tile(labels, 2).astype(np.int32))}


@pytest.fixture(scope="module")
def whole(batch):
    """States before and after three steps on whole batches."""
    recipe = steady()
    step = jax.jit(partial(train_step, recipe, recipe.phases[0]))
    states, metrics = [fresh_state(recipe)], []
    for _ in range(3):
        state, found = step(states[-1], batch, KEY)
        states.append(jax.device_get(state))
        metrics.append(found)
    return states, metrics


def test_parts_of_a_batch_are_averaged(batch, whole):
    """Both halves are the same images, so batch norm sees what it sees in the whole batch."""
    halves = steady(accumulation=2)
    state, metrics = jax.jit(partial(train_step, halves, halves.phases[0]))(
        whole[0][0], batch, KEY)
    chex.assert_trees_all_close(jax.device_get(state), whole[0][1], atol=1e-9, rtol=0)
    compute = lambda means: {name: mean.compute() for name, mean in jax.device_get(means).items()}
    assert compute(metrics) == pytest.approx(compute(whole[1][0]), abs=1e-9)


def test_the_average_follows_the_parameters(whole):
    states = whole[0]
    average = states[0].params
    chex.assert_trees_all_equal(states[0].average, average)
    for t, state in enumerate(states[1:]):
        decay = min(0.9, (1 + t) / (10 + t))
        average = jax.tree.map(lambda old, new, d=decay: d * old + (1 - d) * new, average,
                               state.params)
        chex.assert_trees_all_close(state.average, average, atol=1e-12, rtol=0)
        assert state.evaluated is state.average


def test_the_average_is_sorted_along():
    state = fresh_state(steady())
    generator = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: generator.normal(size=leaf.shape), state.params)
    state = state.replace(params=params, average=jax.tree.map(lambda leaf: 2 * leaf, params))
    found = jax.jit(partial(sort_state, SPACE, steady().transform()))(state)
    chex.assert_trees_all_equal(found.average, jax.tree.map(lambda leaf: 2 * leaf, found.params))
    moved = jax.tree.map(lambda new, old: bool((new != old).any()), found.params, params)
    assert any(jax.tree.leaves(moved["stage0"]))


def test_a_resolution_is_drawn_for_every_step():
    recipe = steady(resolutions=(4, 8))
    trainer = Trainer(recipe, KEY)
    sizes = [trainer.resolution_of(step) for step in range(200)]
    assert set(sizes) == {4, 8} and 70 < sizes.count(4) < 130
    assert sizes == [Trainer(recipe, KEY).resolution_of(step) for step in range(200)]
    assert sizes != [Trainer(recipe, jax.random.key(8)).resolution_of(s) for s in range(200)]
    ran, (phase,) = [], recipe.phases

    class Step:
        def __init__(self, size):
            self.size = size

        def share(self, batch):
            return batch

        def __call__(self, state, batch, key):
            ran.append(self.size)
            return state, {}

    trainer.steps = {(phase.name, size): Step(size) for size in (4, 8)}
    state = fresh_state(recipe)
    for step in range(20):
        trainer(step, state.replace(step=np.int32(step)), {})
    assert ran == sizes[:20]


def test_images_are_resized_before_the_network_sees_them(batch):
    moment = Moment(epoch=0, resolution=4, first=0, run=KEY, augment=KEY, dropout=KEY)
    inputs = steady().task.prepare(moment, batch)
    assert inputs.images.shape == (16, 4, 4, 3)
    even = steady().task.prepare(moment._replace(resolution=9), {
        **batch, "image": jnp.full((16, 9, 9, 3), 77, jnp.uint8)})
    small = steady().task.prepare(moment, {
        **batch, "image": jnp.full((16, 9, 9, 3), 77, jnp.uint8)})
    np.testing.assert_allclose(small.images, even.images[:, :4, :4], atol=1e-6)


@pytest.mark.long
def test_parts_of_a_batch_are_the_same_on_two_devices():
    """Batches whose parts differ, with draws by place: mixed, mirrored and dropped."""
    recipe = steady(accumulation=2, dropout_rate=0.2, drop_connect_rate=0.3,
                    augment=dataclasses.replace(PIXELS, flip=True, mixup=0.4))
    generator = np.random.default_rng(1)
    batch = {"image": generator.integers(0, 256, (16, 9, 9, 3), np.uint8),
             "label": generator.integers(0, 5, 16).astype(np.int32)}
    states = []
    for count in (1, 2):
        trainer = Trainer(recipe, KEY, devices=jax.devices()[:count])
        states.append(jax.device_get(trainer(0, fresh_state(recipe), batch)[0]))
    chex.assert_trees_all_close(*states, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("field", "value", "message"), [
    ("resolutions", (6, 8), r"resolutions \(6, 8\) must be multiples of 4 from the stride of the "
                            "network, 2 px, to the space's 9 px"),
    ("resolutions", (8, 12), "to the space's 9 px"), ("resolutions", (0, 8), "network, 2 px"),
    ("resolutions", (8, 8), "holds one twice"),
    ("accumulation", 0, "accumulation 0 is no number of parts"),
    ("average_decay", 1.0, r"average_decay 1.0 is not in \[0, 1\)"),
    ("drop_connect_rate", -0.1, r"drop_connect_rate -0.1 is not in \[0, 1\)")])
def test_bad_settings_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        steady(**{field: value})


@pytest.mark.parametrize(("changes", "message"), [
    ({"training.accumulation": 3}, "does not divide by training.accumulation 3 on 2 devices; use a "
                                   "multiple of 6"),
    ({"training.batch_norm": "synced"}, "training.batch_norm 'synced' is unknown; use 'synchronis"),
    ({"training.batch_norm": "per_device", "training.batch_size": 2},
     "would see 1 image of a batch of 2 at once; use a training.batch_size of 4 or more"),
    ({"training.accumulation": 2, "augment.mixup": 0.2}, "pair images, but a step sees 5 of the"),
    ({"data.policy": "auto"}, "data.policy 'auto' is unknown; use one of"),
    ({"data.least_area": 0.0}, r"least_area 0.0 is not in \(0, 1\]")])
def test_bad_settings_of_a_run_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        check_parts(Experiment.from_dict(tiny_config(**changes)))


@pytest.mark.parametrize("space", [TINY, OWN], ids=["inverted residuals", "other blocks"])
def test_scales_are_zero_where_a_block_adds_its_input_and_nowhere_else(space):
    params, _ = jax.jit(supernet.init, static_argnums=1)(KEY, space)
    params = zero_scales(space, params)
    zeros = [name for name, leaf in jax.tree_util.tree_leaves_with_path(params)
             if jax.tree_util.keystr(name, simple=True, separator="/").endswith("norm/scale")
             and not leaf.any()]
    assert zeros and all("stage" in str(name[0]) for name in zeros)
    for name in zeros:
        stats = jax.tree_util.keystr(name, simple=True, separator="/")
        assert "stem" not in stats and "expand/" not in stats


def test_depth_makes_no_difference_where_blocks_begin_as_the_identity():
    images = jax.random.normal(KEY, (4, 9, 9, 3), np.float32)
    params, _ = jax.jit(supernet.init, static_argnums=1)(KEY, TINY)
    logits = {}
    evaluate = jax.jit(partial(supernet.apply, TINY, train=True))
    for zero in (False, True):
        start = zero_scales(TINY, params) if zero else params
        for name in ("k3e2/k3e2", "k3e2-k5e3/k3e2-k5e1-k3e3"):
            subnet = jax.tree.map(jnp.asarray, decode(TINY, name))
            logits[zero, len(name)] = np.asarray(evaluate(start, None, images, subnet)[0])
    (short, long) = sorted({length for _, length in logits})
    np.testing.assert_allclose(logits[True, short], logits[True, long], atol=1e-5)
    assert np.abs(logits[False, short] - logits[False, long]).max() > 1e-2


def test_resnets_begin_with_zero_scales_in_every_block():
    shapes, _ = jax.eval_shape(lambda: supernet.init(KEY, RESNET50D))
    params = zero_scales(RESNET50D, jax.tree.map(lambda leaf: np.ones(leaf.shape[:1]), shapes))
    bottlenecks = [s for s, stage in enumerate(RESNET50D.stages) if stage.block is BOTTLENECK]
    assert len(bottlenecks) == 4
    for s in bottlenecks:
        for part in params[f"stage{s}"].values():
            assert not part["conv3"]["norm"]["scale"].any()
            assert part["conv1"]["norm"]["scale"].all() and part["conv2"]["norm"]["scale"].all()


def test_dropped_blocks_add_nothing():
    block = TINY.blocks[0][-1]
    assert block.residual
    params, _ = jax.jit(supernet.init, static_argnums=1)(KEY, TINY)
    own = jax.tree.map(lambda leaf: leaf[0], params["stage0"]["rest"])
    x = jax.random.normal(KEY, (3, 5, 5, block.largest["in"]))
    mode = supernet.Mode(train=True)
    branch = len(block.branches) - 1

    def out(survival):
        return run_block(block, branch, mode, True, own, x, 0, Given(None, survival))[0]

    plain, some = out(None), out(jnp.array([0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(some[0], x[0])
    np.testing.assert_allclose(some[1], plain[1], atol=1e-6)
    np.testing.assert_allclose(some[2] - x[2], 2 * (plain[2] - x[2]), atol=1e-5)


def test_later_blocks_are_dropped_more_often():
    factors = supernet._survival(TINY, KEY, 0.5, 4000, None)
    assert [len(stage) for stage in factors] == [2, 3]
    every = np.concatenate(factors)
    rates = 0.5 * np.arange(5) / 5
    np.testing.assert_allclose((every == 0).mean(1), rates, atol=0.03)
    np.testing.assert_allclose(every.max(1), 1 / (1 - rates), rtol=1e-6)
    np.testing.assert_allclose(every.mean(1), 1, atol=0.05)
    np.testing.assert_array_equal(np.concatenate(supernet._survival(TINY, KEY, 0.0, 8, None)), 1)


@pytest.mark.long
def test_a_run_with_all_of_it_is_evaluated_by_its_average(tmp_path):
    changes = {
        "training.average_decay": 0.95, "training.accumulation": 2, "training.zero_scales": True,
        "training.drop_connect_rate": 0.2, "training.epochs": 4.0, "augment.flip": True,
        "augment.alternating": True, "augment.colour": (0.2, 0.2, 0.2, 0.05),
        "augment.erase_probability": 0.3, "augment.mixup": 0.2, "augment.cutmix": 1.0,
        "data.placement": "streamed", "data.policy": "trivial", "cadence.evaluate_every": 0,
        "training.batch_size": 24}
    with jax.enable_x64(False):
        state = run(tmp_path, **changes)
        experiment = Experiment.from_dict(tiny_config(**changes))
        space = experiment.space.build(10)
        params, step = load_trained(space, tmp_path)
    assert step == 16 == int(state.step)
    chex.assert_trees_all_equal(params, jax.device_get(state.average))
    different = jax.tree.map(lambda a, b: bool(np.any(a != b)), params,
                             jax.device_get(state.params))
    assert any(jax.tree.leaves(different))
    assert any(name.startswith("average/") for name in saved(tmp_path).shapes())


def test_zero_scales_are_where_training_starts():
    recipe = steady(zero_scales=True, space=TINY)
    params = jax.jit(lambda: init_state(KEY, recipe))().params
    assert not params["stage0"]["rest"]["project"]["norm"]["scale"].any()
    assert params["stage0"]["rest"]["depthwise"]["norm"]["scale"].all()
