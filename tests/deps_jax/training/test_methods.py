"""Phases of every method: which steps, which slots, which rates, against the published numbers."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_run import RECIPE

from deps_jax.common.loop.optim import Optimizer
from deps_jax.space.cost import macs
from deps_jax.space.families import MOBILENET_V3, MOBILENET_V3_CIFAR, RESNET50D, SPACES
from deps_jax.space.layers import layers
from deps_jax.space.subnet import stack
from deps_jax.space.subnet_text import decode
from deps_jax.training.experiment import build_method
from deps_jax.training.losses import Distillation, Hard
from deps_jax.training.method import Method
from deps_jax.training.methods import BIGNAS, COMPOFA, DEPS, METHODS, OFA, PLAIN
from deps_jax.training.phases import FROZEN, FULL_RATE, Phase, Plan, Slot, step_macs
from deps_jax.training.samplers import Choosing, Either, Named
from deps_jax.training.train import init_state
from deps_jax.training.trainer import enter

PER_EPOCH = 626  # ImageNet in batches of 2048
OFA_SPACE = MOBILENET_V3.with_choices(kernels=(3, 5, 7), kernel_transform=True)


def phases(method, space=OFA_SPACE, epochs=270, per_epoch=PER_EPOCH, **optimizer):
    optimizer = Optimizer(**{"learning_rate": 2.6, "min_learning_rate": 0.0, **optimizer})
    return method.phases(Plan(space, optimizer, epochs * per_epoch, per_epoch))


def names(phase):
    return [slot.name for slot in phase.slots]


@pytest.mark.parametrize("family", [
    name if name == "mobilenet_v3" else pytest.param(name, marks=pytest.mark.long)
    for name in SPACES])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_phases_of_every_method_follow_each_other(method, family):
    kernels = {"kernels": (3, 5, 7)} if "kernels" in SPACES[family].stages[-1].block.axes else {}
    space = SPACES[family].with_choices(**kernels)
    if method.sampling == "compound_mixed" and len(space.stages) != 5:
        with pytest.raises(ValueError, match="compound sampling has the kernels"):
            [jax.eval_shape(lambda key, s=slot: s.subnet.draw(key, space), jax.random.key(0))
             for phase in phases(method, space) for slot in phase.slots]
        return
    found = phases(method, space)
    assert found[0].start == 0 and found[-1].stop == 270 * PER_EPOCH
    assert [phase.start for phase in found[1:]] == [phase.stop for phase in found[:-1]]
    for phase in found:
        assert float(phase.learning_rate(phase.start)) > 0
        for slot in phase.slots:
            assert 0 <= float(slot.rate(phase.start)) <= 1 == float(slot.rate(phase.stop))
            drawn = jax.eval_shape(lambda key, s=slot: s.subnet.draw(key, space), jax.random.key(0))
            assert np.shape(drawn.depth)[-1] == len(space.stages)


def test_deps_is_full_model_then_sandwiches_with_rising_rates():
    first, second = phases(dataclasses.replace(DEPS, full_model_fraction=150 / 270))
    assert (first.start, first.stop, second.start) == (0, 145 * PER_EPOCH, 145 * PER_EPOCH)
    assert names(first) == ["largest"] and first.alone == Named("largest")
    assert names(second) == ["largest", "smallest", "sampled_1", "sampled_2"]
    assert second.sort_channels and not first.changes_state
    full, *subnets = second.slots
    assert full.loss == Hard() and full.dropout and not any(slot.dropout for slot in subnets)
    assert {slot.loss for slot in subnets} == {Distillation()}
    assert float(subnets[0].rate(147 * PER_EPOCH)) == pytest.approx(0.378964, rel=1e-5)
    assert float(full.rate(147 * PER_EPOCH)) == 1


def test_networks_are_grown_before_sandwiches():
    method = dataclasses.replace(DEPS, warm_up=("smallest", "d3e3k7", "largest"), ramp_epochs=0.0,
                                 full_model_fraction=1 / 3)
    *alone, last = phases(method)
    assert [phase.alone.name for phase in alone] == ["smallest", "d3e3k7", "largest"]
    assert [(phase.start // PER_EPOCH, phase.stop // PER_EPOCH) for phase in alone] == [
        (0, 30), (30, 60), (60, 90)]
    assert all(phase.slots[0].loss == Hard() for phase in alone)
    assert last.start == 90 * PER_EPOCH and last.sort_channels and len(last.slots) == 4
    dataclasses.replace(RECIPE, method=dataclasses.replace(
        method, warm_up=("smallest",), sort_channels=False))  # rates of no slot are mixed up


def test_a_part_of_the_sandwiches_has_the_full_model():
    *_, last = phases(dataclasses.replace(DEPS, full_model_share=0.5))
    teacher, *others = last.slots
    assert teacher.subnet == Either(Named("largest"), DEPS.sampler, 0.5)
    assert teacher.loss == Hard() and {slot.loss for slot in others} == {Distillation()}
    assert not last.keeps_statistics  # it is not always the same network


def test_bignas_and_plain_training_have_one_phase():
    (only,) = phases(BIGNAS)
    assert names(only) == ["largest", "smallest", "sampled_1", "sampled_2"]
    assert not only.changes_state and float(only.slots[1].rate(0)) == 1
    (only,) = phases(PLAIN)
    assert only.alone == Named("largest")


def test_the_exponential_schedule_ends_constant():
    """BigNAS: 0.256 times 0.97 every 2.4 epochs, from a twentieth of it on constant."""
    (only,) = phases(BIGNAS, epochs=360, learning_rate=0.256, schedule="exponential",
                     min_learning_rate=0.05 * 0.256)
    at = lambda epoch: float(only.learning_rate(epoch * PER_EPOCH))
    assert at(0) == pytest.approx(0.256) and at(24) == pytest.approx(0.256 * 0.97**10, rel=1e-5)
    assert at(235) > 0.05 * 0.256 and at(237) == at(359) == pytest.approx(0.05 * 0.256)


def test_ofa_has_the_published_epochs_rates_and_lists():
    found = phases(OFA, epochs=605)
    lengths = [(phase.stop - phase.start) / PER_EPOCH for phase in found]
    assert lengths == [180, 125, 25, 125, 25, 125]
    assert [len(phase.slots) for phase in found] == [1, 1, 2, 2, 4, 4]
    peaks = [max(float(phase.learning_rate(step)) for step in range(
        phase.start, phase.start + 6 * PER_EPOCH, PER_EPOCH)) for phase in found]
    np.testing.assert_allclose(peaks, [2.6, 0.96, 0.08, 0.24, 0.08, 0.24], rtol=0.01)
    for phase in found:  # each comes down to nothing
        assert float(phase.learning_rate(phase.stop - 1)) < 1e-4
    warm = [float(phase.learning_rate(phase.start)) / peak
            for phase, peak in zip(found, peaks, strict=True)]
    np.testing.assert_allclose(warm, [1, 1 / 32, 1, 1 / 32, 1, 1 / 32], rtol=0.02)
    assert [phase.freeze for phase in found] == [False, True] + [False] * 4
    assert [phase.restart for phase in found] == [False] + [True] * 5
    assert [phase.protected for phase in found] == [None] * 4 + [0, 1]
    assert all(phase.teacher == FROZEN for phase in found[1:])
    assert {slot.loss for phase in found[1:] for slot in phase.slots} == {
        Distillation(label_weight=1.0)}
    opened = [{name: {getattr(stage, name) for stage in phase.slots[0].subnet.part(
        OFA_SPACE).stages} for name in ("depths", "kernels", "expands")} for phase in found[1:]]
    depths = [{(4,)}, {(3, 4)}, {(2, 3, 4)}, {(2, 3, 4)}, {(2, 3, 4)}]
    expands = [{(6,)}, {(6,)}, {(6,)}, {(4, 6)}, {(3, 4, 6)}]
    assert [part["depths"] for part in opened] == depths
    assert [part["expands"] for part in opened] == expands
    assert all(part["kernels"] == {(3, 5, 7)} for part in opened)


def test_openings_of_axes_that_a_space_has_not_are_left_out():
    one_kernel = [phase.name for phase in phases(OFA, MOBILENET_V3)]
    assert one_kernel == ["teacher step", "depth 1 step", "depth 2 step", "expand 1 step",
                          "expand 2 step"]
    resnet = phases(OFA, RESNET50D)
    assert [phase.name for phase in resnet][-2:] == ["width 1 step", "width 2 step"]
    assert resnet[1].freeze


def test_compofa_has_two_openings_of_the_whole_space():
    teacher, *found = phases(COMPOFA, epochs=330)
    assert [(phase.stop - phase.start) / PER_EPOCH for phase in (teacher, *found)] == [180, 25, 125]
    assert all(len(phase.slots) == 4 and phase.protected == 0 for phase in found)
    drawn = jax.vmap(lambda key: found[0].slots[0].subnet.draw(key, OFA_SPACE))(
        jax.random.split(jax.random.key(0), 200))
    kernels = {tuple(row) for row in np.asarray(drawn.kernel)[:, :, 0]}
    assert kernels == {(0, 1, 0, 0, 1)}  # 3, 5, 3, 3, 5
    pairs = {(int(d), int(e)) for d, e in zip(np.asarray(drawn.depth).ravel(),
                                              np.asarray(drawn.expand)[:, :, 0].ravel(),
                                              strict=True)}
    assert pairs == {(2, 0), (3, 1), (4, 2)}  # depth with the place of the expand ratio


def test_a_given_teacher_is_not_trained():
    found = phases(dataclasses.replace(OFA, teacher="runs/teacher"), epochs=425)
    assert found[0].name == "kernel step" and not any(phase.freeze for phase in found)
    assert (found[0].stop - found[0].start) / PER_EPOCH == 125


def test_any_loss_sampling_and_weight_goes_with_any_method():
    for name in ("deps", "ofa"):
        method = build_method({"name": name, "loss": "alpha", "sampling": "attentive_best",
                               "weight": "complexity", "aggregation": "mean"})
        slot = phases(method, MOBILENET_V3_CIFAR)[-1].slots[-1]
        assert isinstance(slot.subnet, Choosing) and slot.weight and slot.loss == method.subnet_loss


@pytest.mark.parametrize(("phases_of", "message"), [
    (lambda slot: (Phase("a", 0, 5, (slot,), FULL_RATE),), r"from step 0 to 10"),
    (lambda slot: (Phase("a", 0, 5, (slot,), FULL_RATE), Phase("a", 5, 10, (slot,), FULL_RATE)),
     "name each once"),
    (lambda slot: (Phase("a", 0, 5, (slot,), FULL_RATE), Phase(
        "b", 5, 10, (dataclasses.replace(slot, rate=lambda step: 0.5),), FULL_RATE)),
     "'largest' have different rates"),
    (lambda slot: (Phase("a", 0, 10, (Slot("first", slot.subnet, Distillation()),), FULL_RATE),),
     "teaches, but its loss"),
], ids=["gap", "names", "rates", "teacher"])
def test_impossible_phases_of_an_own_method_are_refused(phases_of, message):
    @dataclasses.dataclass(frozen=True)
    class Own(Method):
        def phases(self, plan):
            return phases_of(Slot("largest", Named("largest"), Hard()))

    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPE, method=Own("own"), total=10)


def test_without_a_loss_that_asks_for_it_no_teacher_is_kept():
    method = dataclasses.replace(OFA, loss="hard")
    recipe = dataclasses.replace(RECIPE, method=method, total=40)
    state = jax.eval_shape(lambda: init_state(jax.random.key(0), recipe))
    assert state.teacher == {}
    for phase in recipe.phases:
        entered = jax.eval_shape(lambda s, p=phase: enter(recipe, p, s), state)
        assert jax.tree.structure(entered) == jax.tree.structure(state)


def test_runs_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match="does not fit"):
        phases(DEPS, epochs=2, per_epoch=5)
    with pytest.raises(ValueError, match="has no step in a run of 5"):
        phases(OFA, epochs=1, per_epoch=5)


@pytest.mark.parametrize(("section", "message"), [
    ({"full_model_fraction": 1.0}, "full_model_fraction"), ({"ramp_epochs": -1}, "ramp_epochs"),
    ({"ramp_target_epochs": -0.5}, "ramp_target_epochs"),
    ({"warm_up": ()}, "warm_up"), ({"warm_up": ("largest", "largest")}, "each once"),
    ({"warm_up": ("smallest",)}, "set sort_channels=False"),
    ({"full_model_share": 1.5}, "full_model_share"),
    ({"full_model_share": 0.5, "sampling": "attentive_best"}, "cannot stand in for the full"),
    ({"ramp_target_epochs": float("nan")}, "ramp_target_epochs"),
    ({"temperature": 0}, "temperature"), ({"subnets_per_step": 0}, "subnets_per_step"),
    ({"sampling": "best"}, "method.sampling 'best' is unknown"),
    ({"loss": "softest"}, "method.loss 'softest' is unknown"),
    ({"weight": "cost"}, "method.weight 'cost' is unknown"),
    ({"loss": "numpy:nothing"}, "method.loss 'numpy:nothing' cannot be imported"),
    ({"loss": "math:pi"}, "method.loss 'math:pi' is a float, not a Loss"),
    ({"aggregation": "median"}, "aggregation"), ({"name": "best"}, "method.name 'best' is unknown"),
    ({"name": "bignas", "ramp_epochs": 1.0}, "'bignas' means ramp_epochs 0.0"),
    ({"name": "ofa", "ramp_epochs": 1.0}, "method has no field 'ramp_epochs'")])
def test_impossible_methods_are_refused(section, message):
    with pytest.raises(ValueError, match=message):
        build_method(section)


def test_configs_of_earlier_versions_are_understood():
    assert build_method({"name": "deps", "distill": False}).loss == "hard"
    assert build_method({"name": "deps", "distill": True}) == DEPS
    assert build_method({"name": "deps", "sampling": "compound"}).sampling == "compound"


def test_a_step_costs_what_its_passes_cost():
    space = OFA_SPACE.with_choices(kernels=(3, 5, 7), kernel_transform=False)
    full, small = (macs(layers(space, decode(space, name))) for name in ("largest", "smallest"))
    warm_up, supernet = phases(DEPS, space)
    assert step_macs(warm_up, space, 224, None) == pytest.approx(3 * full)
    drawn = jax.tree.map(jnp.asarray, stack([decode(space, name) for name in (
        "largest", "smallest", "smallest", "smallest")]))
    assert step_macs(supernet, space, 224, drawn) == pytest.approx(3 * (full + 3 * small))
    smaller = macs(layers(dataclasses.replace(space, resolution=128), decode(space, "largest")))
    assert step_macs(warm_up, space, 128, None) == pytest.approx(3 * smaller)
    # The frozen teacher runs forward; so do candidates that are not kept.
    taught = next(phase for phase in phases(OFA, space) if phase.needs_teacher)
    one = jax.tree.map(lambda leaf: leaf[1:2], drawn)
    slots = len(taught.slots)
    several = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * slots), one)
    assert step_macs(taught, space, 224, several) == pytest.approx(3 * slots * small + full)
