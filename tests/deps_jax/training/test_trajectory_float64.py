"""The recorded run of the reference, repeated by PyTorch and by us in float64.

The recorded float32 trajectory is chaotic: PyTorch in float64 leaves it as far as we do. In float64
both agree to seven digits until rounding has grown from 1e-16 (step 5 of 8). A run of our own, for
which neither PyTorch nor the record is needed, is in test_golden_float64.py.
"""
import dataclasses
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deps_jax.common.files.tensors import load_state_dict
from deps_jax.common.loop.state import TrainState
from deps_jax.reference.golden import recorded_recipe
from deps_jax.space.families import MOBILENET_V3_CIFAR
from deps_jax.space.subnet import from_lists, stack
from deps_jax.supernet.convert import convert
from deps_jax.training.train import update

STEPS = 5  # two of the full model, two on the ramp, one at full rate


@pytest.mark.long  # installs PyTorch
@pytest.mark.long
def test_losses_equal_those_of_pytorch(shared):
    pytest.importorskip("torch", reason="needs torch, the extra `bench`")
    from torch_deps import trajectory

    folder = shared / "golden" / "deps_trajectory"
    space = MOBILENET_V3_CIFAR.with_choices(width_mult=0.25)
    record = json.loads((folder / "trajectory.json").read_text())
    total = len(record["steps"])
    record["steps"] = record["steps"][:STEPS]
    initial = load_state_dict(folder / "initial.npz")
    with np.load(folder / "data.npz") as file:
        images, labels = file["x"], file["y"]
    theirs, _ = trajectory(space, record, initial, images, labels)
    with jax.enable_x64(True):
        recipe = dataclasses.replace(recorded_recipe(space, record, total), dtype="float64")
        params, batch_stats = jax.tree.map(
            lambda leaf: jnp.asarray(np.asarray(leaf, np.float64)), convert(space, initial))
        state = TrainState(jnp.zeros((), jnp.int32), params, batch_stats,
                           recipe.transform().init(params))
        steps = {phase.name: jax.jit(partial(update, recipe, phase)) for phase in recipe.phases}
        pixels = jnp.asarray(np.moveaxis(images, 2, -1), jnp.float64)
        for i, step in enumerate(record["steps"]):
            subnets, phase = None, recipe.phase_of(i)
            if not phase.alone:
                subnets = jax.tree.map(jnp.asarray, stack([
                    from_lists(space, depths=arch["d"], kernels=arch["ks"], expands=arch["e"])
                    for arch in step["archs"]]))
            inputs = recipe.task.inputs(pixels[i % 2], jnp.asarray(labels[i % 2]),
                                        jax.random.key(0))
            state, metrics = steps[phase.name](state, inputs, subnets)
            assert metrics["loss"].compute() == pytest.approx(theirs[i][0], abs=2e-6)
            if subnets is not None:
                assert metrics["subnet_loss"].compute() == pytest.approx(
                    np.mean(theirs[i][1:]), abs=2e-6)
