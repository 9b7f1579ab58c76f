"""The engine and the training step against PyTorch in float64, recorded in tests/golden.

`make_golden` made the record without our engine. Where PyTorch is installed, it is made again.
"""
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from make_golden import GOLDEN, flat, make, pixels, read_space, unflat

from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.loop.state import TrainState
from deps_jax.data.augment import Augment
from deps_jax.space.subnet import from_lists, stack, traced
from deps_jax.supernet import supernet
from deps_jax.supernet.convert import convert, short_name, to_state_dict
from deps_jax.training.losses import Hard, Target, smoothed
from deps_jax.training.sandwich import Sandwich
from deps_jax.training.train import Recipe, update
from deps_jax.training.trainer import enter


@pytest.fixture(scope="module", autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def record():
    """The .json, with the space in place of its fields, and the arrays of the .npz."""
    values = json.loads((GOLDEN / "deps_float64.json").read_text())
    with np.load(GOLDEN / "deps_float64.npz") as file:
        arrays = dict(file)
    return {**values, "space": read_space(values["space"]), "arrays": arrays}


@pytest.fixture(scope="module")
def variables(record):
    """(params, batch_stats) of the recorded network, float64."""
    tensors = unflat(record["arrays"]["initial"], record["tensors"])
    for name, value in list(tensors.items()):
        if name.endswith("bn.weight"):
            tensors[name.replace("weight", "running_mean")] = np.zeros_like(value)
            tensors[name.replace("weight", "running_var")] = np.ones_like(value)
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64),
                        convert(record["space"], tensors))


@pytest.fixture(scope="module")
def images(record):
    """[batches, b, h, w, 3] float64."""
    return jnp.asarray(np.moveaxis(pixels(record["arrays"]["images"]), 2, -1))


def subnet(space, arch):
    return from_lists(space, depths=arch["d"], kernels=arch["ks"], expands=arch["e"])


def test_logits_gradients_and_statistics_of_three_subnets(record, variables, images):
    space, arrays, (params, batch_stats) = record["space"], record["arrays"], variables
    labels = jnp.asarray(arrays["labels"])

    @jax.jit
    def run(params, images, labels, subnet):
        def loss_fn(params):
            logits, statistics = supernet.apply(space, params, None, images, subnet, train=True,
                                                dtype="float64")
            targets = Target(smoothed(labels, space.num_classes, 0.1))
            return Hard()(logits, targets).mean(), (logits, statistics)
        return jax.grad(loss_fn, has_aux=True)(params)

    evaluate = jax.jit(partial(supernet.apply, space, train=False, dtype="float64"))
    close = partial(np.testing.assert_allclose, rtol=0, atol=1e-10)
    for i, arch in enumerate(record["archs"]):
        chosen = traced(subnet(space, arch))
        gradients, (logits, statistics) = run(params, images[0], labels[0], chosen)
        _, (_, more) = run(params, images[1], labels[1], chosen)
        close(logits, arrays[f"logits_{i}"])
        close(flat(to_state_dict(space, gradients)), arrays[f"gradients_{i}"])
        close(flat(running(to_state_dict(space, params, statistics))), arrays[f"statistics_{i}"])
        means = jax.tree.map(lambda a, b: (a + b) / 2, statistics, more)
        evaluated, _ = evaluate(params, means, images[2], chosen)
        close(evaluated, arrays[f"evaluated_{i}"])
    assert np.abs(arrays["logits_0"] - arrays["logits_2"]).max() > 0.1  # networks that differ
    assert jax.tree.structure(batch_stats) == jax.tree.structure(statistics)


def running(tensors):
    return {name: value for name, value in tensors.items() if "running" in name}


def recipe_of(run, space):
    """The settings of the recorded run."""
    per_epoch = run["batches_per_epoch"]
    end = run["full_model_warmup_epochs"] * per_epoch
    _, smallest, sampled, also_sampled = run["weights"]
    assert sampled == also_sampled
    method = Sandwich("deps", temperature=run["temperature"], smallest_weight=smallest,
                      sampled_weight=sampled, full_model_fraction=end / len(run["steps"]),
                      ramp_epochs=run["subnet_warmup_epochs"],
                      ramp_target_epochs=run["ramp_target_epochs"])
    optimizer = Optimizer(learning_rate=run["base_lr"], min_learning_rate=run["min_lr"],
                          momentum=run["momentum"], weight_decay=run["weight_decay"])
    return Recipe(space=space, method=method, optimizer=optimizer, total=len(run["steps"]),
                  steps_per_epoch=per_epoch,
                  augment=Augment(mean=(0,) * 3, std=(1,) * 3), dtype="float64",
                  label_smoothing=run["label_smoothing"])


def test_a_run_of_deps_over_warm_up_sorting_ramp_and_full_rate(record, variables, images):
    space, run, arrays = record["space"], record["run"], record["arrays"]
    recipe, (params, batch_stats) = recipe_of(run, record["space"]), variables
    state = TrainState(jnp.zeros((), jnp.int32), params, batch_stats,
                       recipe.transform().init(params))
    steps = {phase.name: jax.jit(partial(update, recipe, phase)) for phase in recipe.phases}
    sampled, full = recipe.rates()["sampled_1"], recipe.method.sampled_weight
    phases = []
    for i, step in enumerate(run["steps"]):
        assert float(recipe.schedule()(i)) == pytest.approx(step["lr"], rel=1e-12)
        beta = float(sampled(i)) / full
        assert beta == pytest.approx(step["beta"], rel=1e-12, abs=1e-15)
        phase = recipe.phase_of(i)
        subnets = None
        if not phase.alone:
            subnets = traced(stack([subnet(space, arch) for arch in step["archs"]]))
        if i == phase.start and phase.changes_state:
            state = jax.jit(partial(enter, recipe, phase))(state)
        inputs = recipe.task.inputs(images[i % 2], jnp.asarray(arrays["labels"][i % 2]),
                                    jax.random.key(0))
        state, metrics = steps[phase.name](state, inputs, subnets)
        assert metrics["loss"].compute() == pytest.approx(step["losses"][0], abs=1e-9)
        assert ("subnet_loss" in metrics) == (len(step["losses"]) > 1)
        if subnets is not None:
            assert metrics["subnet_loss"].compute() == pytest.approx(
                np.mean(step["losses"][1:]), abs=1e-9)
        phases.append(0 if subnets is None else 1 if step["beta"] < 1 else 2)
    assert [phases.count(phase) for phase in range(3)] == [2, 2, 4]
    # Float32 in the record.
    np.testing.assert_allclose(flat(to_state_dict(space, state.params)), arrays["final"], rtol=2e-7,
                               atol=2e-7)
    moved = np.abs(arrays["final"] - arrays["initial"])
    assert np.median(moved) > 1e-3


@pytest.mark.long
def test_the_script_makes_the_record_again(record):
    pytest.importorskip("torch", reason="needs torch, the extra `bench`")
    values, arrays = make()
    kept = json.loads((GOLDEN / "deps_float64.json").read_text())
    for step, other in zip(values["run"].pop("steps"), kept["run"].pop("steps"), strict=True):
        assert step.pop("losses") == pytest.approx(other.pop("losses"), abs=1e-9)
        assert step == other
    assert json.loads(json.dumps(values)) == kept
    assert arrays.keys() == record["arrays"].keys()
    for name, value in arrays.items():
        np.testing.assert_allclose(value, record["arrays"][name], rtol=2e-7, atol=1e-10,
                                   err_msg=name)


def test_names_of_the_record_are_those_of_the_reference(record):
    assert all(short_name(name) == name for name in record["tensors"])
    assert sum(file.stat().st_size for file in GOLDEN.glob("deps_*")) <= 300_000
