"""What the programs of a training run leave to run time, on every platform they are lowered for."""
import dataclasses
import re

import jax
import jax.numpy as jnp
import pytest
from tiny_spaces import PIXELS, TINY

from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.loop.parallel import data_parallel, mean_over_devices
from deps_jax.common.nn.by_platform import by_platform
from deps_jax.reference.program import changes, conditionals, counts, equations
from deps_jax.training.methods import DEPS, PLAIN
from deps_jax.training.train import Recipe, init_state
from deps_jax.training.trainer import Trainer

RECIPE = Recipe(space=TINY, method=dataclasses.replace(DEPS, ramp_epochs=1.0), total=8,
                steps_per_epoch=2, optimizer=Optimizer(),
                augment=dataclasses.replace(PIXELS, flip=True, crop_padding=2, cutout_size=3),
                dropout_rate=0.2)


def trace(step, recipe):
    """A step of a Trainer, traced on shapes alone."""
    state = jax.eval_shape(lambda: init_state(jax.random.key(0), recipe))
    batch = {"image": jax.ShapeDtypeStruct((8, 9, 9, 3), jnp.uint8),
             "label": jax.ShapeDtypeStruct((8,), jnp.int32)}
    trainer = Trainer(recipe, jax.random.key(7), devices=jax.devices()[:1])
    return trainer.steps[step, 9].trace(state, batch, trainer.key)


@pytest.mark.parametrize("recipe", [
    RECIPE, dataclasses.replace(RECIPE, method=PLAIN, dtype="bfloat16"),
    dataclasses.replace(RECIPE, method=PLAIN, subnet="k3e1-k5e2/k5e2x2"),
    pytest.param(dataclasses.replace(RECIPE, method=PLAIN, subnet="k5e3/k3e3-k3e1-k5e2"),
                 marks=pytest.mark.long),
], ids=["full model", "plain, bfloat16", "fine-tuning", "fine-tuning of unequal blocks"])
def test_full_model_step_leaves_nothing_to_run_time(recipe):
    traced = trace("full-model step", recipe)
    assert conditionals(traced) == {"jaxpr": 0, "cpu": 0, "cuda": 0, "tpu": 0}
    # Loops have a known number of turns: a scan, or its reverse.
    assert not [e for e in equations(traced.jaxpr) if e.primitive.name == "while"]


def test_sandwich_chooses_at_run_time():
    traced = trace("supernet step", RECIPE)
    assert all(0 < count < 100 for count in conditionals(traced).values())
    # A profile names the parts of a step.
    text = traced.lower(lowering_platforms=("cpu",)).as_text(debug_info=True)
    for name in ("augment", "slot", "stem", "stage0", "stage1", "head", "optimizer"):
        assert re.search(rf'["/(]{name}[/)]', text), name


def test_a_function_counts_as_often_as_it_is_called():
    inner = jax.jit(lambda x: jax.lax.fori_loop(0, x.shape[0], lambda i, y: y @ x, x))
    outer = jax.jit(lambda x: inner(inner(x)))
    found = counts(jax.jit(lambda x: outer(x) + outer(x + 1)).trace(jnp.ones((2, 2))), "tpu")
    assert (found["loops"], found["products"], found["conditionals"]) == (4, 4, 0)


def test_collectives_of_several_devices_are_counted_for_others_than_those_here():
    def step(state, batch, key, *, axis_name):
        return mean_over_devices({"sum": state + batch.sum(), "max": batch.max()}, axis_name)

    for devices, expected in ((1, 0), (2, 1)):  # small ones travel together
        traced = data_parallel(step, devices=jax.devices()[:devices]).trace(
            jnp.ones(()), jnp.ones((4, 3)), None)
        assert counts(traced, "cuda")["all_reduces"] == expected


def test_what_is_not_as_recorded_is_told():
    found = {"a, cuda": {"loops": 2, "products": 3}, "a, tpu": {"loops": 2}}
    assert changes(found, found | {"b, cuda": {"loops": 1}}) == []
    assert changes(found, {"a, cuda": {"loops": 1, "products": 3}}) == [
        "a, cuda: loops 1 -> 2", "a, tpu: loops not recorded -> 2"]


def test_form_of_the_platform_alone_is_in_the_program():
    sign = by_platform("sign_of_platform", cpu=lambda tree, *, by: {"y": tree["x"] * by},
                       default=lambda tree, *, by: {"y": -by * jnp.sin(tree["x"])})
    tree = {"x": jnp.arange(3.0)}
    assert sign(tree, by=2.0)["y"].tolist() == [0, 2, 4]  # without jit, on this CPU
    traced = jax.jit(lambda tree: sign(tree, by=2.0)).trace(tree)
    assert [e.primitive.name for e in equations(traced.jaxpr)] == ["sign_of_platform"]
    texts = {name: traced.lower(lowering_platforms=(name,)).as_text() for name in ("cpu", "cuda")}
    assert {name: "sine" in text for name, text in texts.items()} == {"cpu": False, "cuda": True}
