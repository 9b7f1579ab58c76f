"""Every method trains every family for a few steps: phases change where they should, runs resume.

Families keep their blocks and lose most stages and choices, for they are compiled here.
"""
import dataclasses

import chex
import jax
import numpy as np
import pytest
from tiny_spaces import PIXELS

from deps_jax.common.compiled.freed import free_programs
from deps_jax.common.loop.optim import Optimizer
from deps_jax.space.families import MOBILENET_V3_CIFAR, PROXYLESS, RESNET50D
from deps_jax.space.search_space import SearchSpace, Stage
from deps_jax.training.methods import DEPS, METHODS
from deps_jax.training.train import Recipe, init_state
from deps_jax.training.trainer import Trainer

TOTAL, PER_EPOCH, BATCH = 24, 2, 4
KEY = jax.random.key(7)


def small(family, stages, **fields):
    """A family with two choices of everything that it has choices of."""
    cut = tuple(dataclasses.replace(
        stage, depths=(stage.depths[0], stage.depths[-1])[:len(stage.depths)],
        expands=(stage.expands[0], stage.expands[-1])[:len(stage.expands)],
        kernels=(3, 7) if "kernels" in stage.block.axes else (1,),
        widths=(stage.widths[0], stage.widths[-1])[:len(stage.widths)], base_depth=min(
            1, stage.base_depth)) for stage in stages)
    return dataclasses.replace(family, stages=cut, width_mult=0.125, num_classes=5, **fields)


# Depth and expand ratio, and nothing else to compile.
LEAST = SearchSpace(
    name="least", stem_width=8, stem_stride=2, first_width=0, first_residual=False,
    stages=(Stage(8, 1, "relu", depths=(1, 2), kernels=(3,), expands=(1, 2)),), head_width=0,
    feature_width=0, num_classes=5, resolution=8)
FAMILIES = {
    "least": LEAST,
    "mobilenet_v3": small(MOBILENET_V3_CIFAR, MOBILENET_V3_CIFAR.stages[1:3], resolution=8,
                          kernel_transform=True),
    "proxyless": small(PROXYLESS, (PROXYLESS.stages[0], PROXYLESS.stages[-1]), resolution=8),
    "resnet50d": small(RESNET50D, RESNET50D.stages[:3], resolution=16, stem_widths=(0.65, 1.0)),
}
GROWN = dataclasses.replace(DEPS, name="grown", warm_up=("smallest",), sort_channels=False,
                            full_model_share=0.5, sampling="strata")
CASES = [pytest.param(GROWN, "least", id="grown-least")]
CASES += [pytest.param(method, family, marks=() if family == "least" or (
    method.name, family) == ("bignas", "resnet50d") else pytest.mark.long,
    id=f"{method.name}-{family}")
    for method in METHODS.values() for family in FAMILIES]


def shortened(method, space):
    """The method with phases that fit in so few steps, and kernels that the space has."""
    if hasattr(method, "ramp_epochs") and method.ramp_epochs:
        method = dataclasses.replace(method, full_model_fraction=0.5, ramp_epochs=2.0)
    if method.sampling == "compound_mixed":  # MobileNetV3's kernels, for five stages
        method = dataclasses.replace(method, sampling="compound")
    return method


def batch(step):
    generator = np.random.default_rng(step)
    return generator.integers(0, 256, (BATCH, 16, 16, 3), np.uint8), generator.integers(
        0, 5, BATCH, np.int32)


@pytest.fixture(autouse=True)
def _programs_end_with_their_run():
    """No two methods share a program."""
    yield
    free_programs()


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize(("method", "family"), CASES)
def test_it_trains_changes_phase_and_resumes(method, family):
    space = FAMILIES[family]
    recipe = Recipe(space=space, method=shortened(method, space), total=TOTAL,
                    steps_per_epoch=PER_EPOCH, augment=PIXELS, dropout_rate=0.1,
                    optimizer=Optimizer(learning_rate=0.05, min_learning_rate=0.0))
    trainer = Trainer(recipe, KEY, devices=jax.devices()[:1])
    size = space.resolution

    def run(state, start, stop):
        history = []
        for step in range(start, stop):
            images, labels = batch(step)
            state, metrics = trainer(step, state, {"image": images[:, :size, :size],
                                                   "label": labels})
            state = jax.device_get(state)
            history.append((state, {name: mean.compute() for name, mean in metrics.items()}))
        return history

    history = run(jax.device_get(jax.jit(lambda: init_state(KEY, recipe))()), 0, TOTAL)
    for step, (state, metrics) in enumerate(history):
        phase = recipe.phase_of(step)
        assert metrics["learning_rate"] == pytest.approx(float(phase.learning_rate(step)), rel=1e-5)
        assert ("subnet_loss" in metrics) == (len(phase.slots) > 1)
        assert np.isfinite(list(metrics.values())).all() and int(state.step) == step + 1
        assert bool(state.teacher) == recipe.keeps_teacher
    for phase in recipe.phases[1:]:
        before, after = history[phase.start - 1][0], history[phase.start][0]
        again = run(before, phase.start, phase.start + 1)[0][0]
        chex.assert_trees_all_equal(again, after)
        if phase.freeze:
            chex.assert_trees_all_equal(after.teacher, before.params)
        elif recipe.keeps_teacher:
            chex.assert_trees_all_equal(after.teacher, before.teacher)
    used = {slot.name for phase in recipe.phases for slot in phase.slots}
    assert set(recipe.rates()) == used
