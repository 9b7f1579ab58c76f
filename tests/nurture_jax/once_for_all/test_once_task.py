"""The task in the step of `deps_jax`: losses of examples, distillation, phases, devices."""
import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from elastic_nurture import SPACE, elastic
from make_batches import CHANGED, FRAMES, PLAIN, SCALING, SIZE, batch

from configs import nurture_once
from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.nn.operations import PER_DEVICE, SYNCHRONISED
from deps_jax.data.augment import Augment
from deps_jax.reference import program
from deps_jax.space.subnet import largest, smallest
from deps_jax.training.losses import AlphaDivergence, Distillation, Hard, Target
from deps_jax.training.methods import DEPS
from deps_jax.training.train import Recipe, state_of
from deps_jax.training.trainer import Trainer
from nurture_jax.once_for_all.experiment import OnceForAll, build_recipe, trained_on
from nurture_jax.once_for_all.task import Anthropometry
from nurture_jax.training.distillation import taught_terms
from nurture_jax.training.losses import Losses, by_example, total_loss

LOSSES = Losses("huber", huber_delta=0.5, points=0.3)
TASK = Anthropometry(elastic(dropout_rate=0.1), LOSSES, CHANGED, FRAMES)
RECIPE = Recipe(space=SPACE, total=24, steps_per_epoch=6, other_task=TASK,
                augment=Augment(mean=PLAIN.mean, std=PLAIN.std),
                method=dataclasses.replace(DEPS, full_model_fraction=0.5, ramp_epochs=1.0,
                                           subnets_per_step=3),
                optimizer=Optimizer(name="adamw", learning_rate=3e-3, weight_decay=0.01))
KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def outputs():
    """What the largest and the smallest network say of one batch, and the batch."""
    network = elastic()
    task = dataclasses.replace(TASK, network=network, augment=PLAIN)
    params, _ = jax.jit(lambda key: network.init(key, FRAMES, SIZE))(KEY)
    raw = batch(1, known=0.6)
    clips = {**raw, "frames": (raw["frames"] / 127.5 - 1).astype(np.float32)}
    run = jax.jit(lambda subnet: network.apply(params, None, clips, subnet, train=True)[0])
    return task, clips, [run(jax.tree.map(np.asarray, one(SPACE))) for one in (largest, smallest)]


def test_the_mean_over_examples_is_the_loss_of_the_batch(outputs):
    task, clips, (full, _) = outputs
    losses = task.loss(Hard(), full, Target(clips), None)
    chex.assert_shape(losses, (4,))
    whole, _ = total_loss(LOSSES, SCALING, full, clips)
    np.testing.assert_allclose(losses.mean(), whole, rtol=1e-5)


def test_a_teacher_is_learnt_from_where_it_differs(outputs):
    task, clips, (full, small) = outputs
    taught = by_example(taught_terms(LOSSES, SCALING, small, full, clips), None)
    np.testing.assert_allclose(task.loss(Distillation(), small, Target(clips, full), None), taught,
                               rtol=1e-6)
    both = task.loss(Distillation(label_weight=0.5), small, Target(clips, full), None)
    hard = task.loss(Hard(), small, Target(clips), None)
    np.testing.assert_allclose(both, taught + 0.5 * hard, rtol=1e-5)

    smooth = dataclasses.replace(LOSSES, points=0.0)  # a distance has a kink at 0

    def loss(small, full):
        return sum(weight * (values * mask).sum() for name, values, mask, weight in
                   taught_terms(smooth, SCALING, small, full, clips) if "scale" not in name)

    at_own, to_teacher = jax.grad(loss, argnums=(0, 1))(full, full)
    # Cross entropy is least where both are equal, the others are 0 there.
    for part in ("mean", "heatmaps", "segmentation"):
        assert np.abs(getattr(at_own, part)).max() < 1e-5
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(to_teacher))
    assert loss(small, full) > loss(full, full)


def test_clips_without_labels_teach_no_measure(outputs):
    _, clips, (full, small) = outputs
    nobody = {**clips, "labels_mask": jnp.zeros_like(clips["labels_mask"])}
    found = {name: mask for name, _, mask, _ in taught_terms(LOSSES, SCALING, small, full, nobody)}
    assert not found["weight_g"].any() and found["segmentation"].all()


def test_losses_of_classes_are_refused(outputs):
    task, clips, (full, small) = outputs
    for kind in (AlphaDivergence(), Distillation(temperature=2.0)):
        with pytest.raises(ValueError, match="is of classes; use 'soft'"):
            task.loss(kind, small, Target(clips, full), None)


@pytest.fixture(scope="module")
def fresh():
    state = jax.device_get(jax.jit(lambda: state_of(RECIPE, *TASK.network.init(
        KEY, FRAMES, SIZE)))())
    return lambda: jax.tree.map(jnp.asarray, state)


def run(trainer, state, steps):
    history = []
    for step in steps:
        state, metrics = trainer(step, state, trained_on(batch(0)))
        history.append({name: mean.compute() for name, mean in metrics.items()})
    return jax.device_get(state), history


@pytest.fixture(scope="module")
def trained(fresh):
    return run(Trainer(RECIPE, KEY, devices=jax.devices()[:1]), fresh(), range(24))


def test_all_phases_learn(trained):
    state, history = trained
    assert int(state.step) == 24
    assert history[5]["loss"] < history[0]["loss"] and history[-1]["loss"] < history[6]["loss"]
    subnets = [line["subnet_loss"] for line in history if "subnet_loss" in line]
    assert len(subnets) == 18 and subnets[-1] < subnets[0]
    assert {"mae_weight_g", "mae_length_cm", "macs"} <= history[0].keys()
    one_frame = history[0]["macs"] / FRAMES
    assert history[-1]["macs"] > 1.5 * history[0]["macs"] > 0 and one_frame > 0


def test_two_devices_equal_one(trained, fresh):
    """Steps of the full model and of sandwiches; in float32 rounding alone is between them."""
    _, history = trained
    state, other = run(Trainer(RECIPE, KEY, devices=jax.devices()[:2]), fresh(), range(2))
    for one, two in zip(history[:2], other, strict=True):
        np.testing.assert_allclose(two["loss"], one["loss"], rtol=2e-3)
        np.testing.assert_allclose(two["macs"], one["macs"], rtol=1e-5)
    assert int(state.step) == 2


def test_statistics_of_each_device_are_not_exchanged():
    """Traced alone: the step is that of `deps_jax`, whose numbers are tested there."""
    found = {}
    for norm in (SYNCHRONISED, PER_DEVICE):
        task = dataclasses.replace(TASK, synchronised=norm == SYNCHRONISED)
        recipe = dataclasses.replace(RECIPE, other_task=task, batch_norm=norm)
        trainer = Trainer(recipe, KEY, devices=jax.devices()[:2])
        state = jax.eval_shape(lambda r=recipe: state_of(r, *TASK.network.init(KEY, FRAMES, SIZE)))
        step = trainer.steps[recipe.phases[0].name, SIZE]
        traced = step.trace(state, trained_on(batch(0)), trainer.extra)
        found[norm] = program.counts(traced, "cuda")["all_reduces"]
    assert 2 * found[PER_DEVICE] < found[SYNCHRONISED], found


@pytest.mark.parametrize("norm", [SYNCHRONISED, PER_DEVICE])
def test_the_config_says_whose_statistics_normalise(norm):
    config = nurture_once.get_config("runlocal")
    config.training.batch_norm = norm
    recipe = build_recipe(OnceForAll.from_dict(config.to_dict()), SCALING, clips=24)
    assert recipe.batch_norm == norm
    assert recipe.task.synchronised is (norm == SYNCHRONISED)
