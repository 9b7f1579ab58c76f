"""One training beside several: lengths at equal cost, pairs, and what cannot be compared."""
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
from elastic_nurture import SPACE, elastic
from make_batches import SIZE, TwoMaps, net
from make_estimates import make_estimates, make_visits
from make_records import write_records

from configs import nurture_once
from deps_jax.common.files import workdir
from deps_jax.space.subnet import largest, smallest
from deps_jax.space.subnet_text import decode
from deps_jax.training.phases import BACKWARD
from nurture_jax.network.backbone_weights import of_subnet
from nurture_jax.network.frame_cost import macs_behind
from nurture_jax.network.model import NurtureNet
from nurture_jax.network.scaling import Scaling
from nurture_jax.once_for_all.choose import backbone_macs
from nurture_jax.once_for_all.experiment import OnceForAll, build_recipe
from nurture_jax.once_for_all.subnets import config_alone
from nurture_jax.runs import once_comparison
from nurture_jax.runs.ablation import Outcome
from nurture_jax.runs.once_comparison import ALONE, ONCE, Plan, compare, differences, table, write
from nurture_jax.training import experiment as alone
from nurture_jax.training.run_data import read_data

NAMES = ("small", "large")


def config_of(data, method="deps", **space):
    config = nurture_once.get_config(f"runlocal,{method}")
    config.update_from_flattened_dict({
        "data.dir": str(data), "training.epochs": 3.0, "data.validation_fraction": 0.25,
        "data.calibration_fraction": 0.0, "data.test_fraction": 0.125, "negatives.share": 0.0,
        "optimizer.warmup_epochs": 0.0, "refit.epochs": 2})
    config = config.to_dict()
    return {**config, "space": {**config["space"], **space}}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("data") / "set", infants=8)


@pytest.fixture(scope="module")
def plan():
    settings = OnceForAll.from_dict(config_of("nowhere"))
    return Plan(settings, {}, NAMES, {"small": 2_000_000, "large": 6_000_000}, 1_000_000,
                once_macs=3.6e9, steps_per_epoch=10)


def outcomes(plan, seeds=(0, 1, 2), visits=24):
    """The one training is 10 g nearer for the small network, and 20 g farther for the large."""
    found, random = [], np.random.default_rng(0)
    hard = random.uniform(100, 300, visits)
    for seed in seeds:
        for name, kind, more in (("small", ONCE, -10), ("small", ALONE, 0), ("large", ONCE, 20),
                                 ("large", ALONE, 0)):
            errors = hard + more + random.normal(0, 1, visits)
            rows = [{"infant_id": f"n{i // 2}", "visit_id": str(i % 2), "weight_g": float(error),
                     "length_cm": None} for i, error in enumerate(errors)]
            found.append(Outcome(f"{name}, {kind}", seed, {"weight_g": float(errors.mean())}, 5.0,
                                 rows))
    return found


def test_what_is_trained_alone_costs_together_what_the_one_training_costs(plan):
    costs = plan.costs
    np.testing.assert_allclose(sum(costs[name] for name in NAMES), costs[ONCE], rtol=0.01)
    np.testing.assert_allclose(costs["small"], costs["large"], rtol=0.01)
    assert plan.steps_alone("small") == 3.6e9 / 2 / ((1 + BACKWARD) * 3e6) == 200
    images = plan.settings.data.frames * plan.settings.training.batch_size
    np.testing.assert_allclose(costs[ONCE], images * 3.6e9 / 1e12)


def test_pairs_tell_what_the_hardness_of_infants_hides(plan):
    minus = differences(plan, outcomes(plan))
    assert minus["small"].keys() == {"weight_g"}  # no length was measured
    small, large = (minus[name]["weight_g"] for name in NAMES)
    assert small.low < small.value < small.high < -8 and small.value == pytest.approx(-10, abs=1)
    assert 18 < large.low < large.value < large.high and large.value == pytest.approx(20, abs=1)


def test_the_files_of_a_table(plan, tmp_path):
    write(tmp_path, plan, outcomes(plan))
    lines = (tmp_path / "once_comparison.md").read_text().splitlines()
    assert lines[2].startswith("| small | 3.0 | ") and "| -10 (-" in lines[2] and " ± " in lines[2]
    assert "| +20 (+" in lines[3] or "| +20 (" in lines[3]
    assert lines[-1].startswith("Cost: ") and "for the 2 alone together" in lines[-1]
    rows = (tmp_path / "once_comparison.csv").read_text().splitlines()
    assert len(rows) == 1 + 12 and rows[0].startswith("network,seed,mae_weight_g")
    assert "once_minus_alone" in (tmp_path / "once_comparison.json").read_text()
    assert table(plan, outcomes(plan, seeds=(0,))).count("±") == 0


def test_what_comes_behind_is_the_same_for_all_backbones_of_a_space():
    network = elastic()
    behind = {macs_behind(NurtureNet(network.settings, network.scaling, of_subnet(SPACE, one(
        SPACE))), SIZE) for one in (smallest, largest)}
    assert len(behind) == 1
    assert backbone_macs(SPACE, smallest(SPACE)) < backbone_macs(SPACE, largest(SPACE))
    assert macs_behind(net(use_video=False, geometry=False), SIZE) == 0


def test_what_comes_behind_is_counted_layer_by_layer():
    """Neck and heads of 8 channels at 8 x 8 on maps of 8 at stride 4 and of 12 at stride 8."""
    model = net()
    assert isinstance(model.backbone, TwoMaps)
    neck = 8 * 8 * (8 * 8) + 4 * 4 * (12 * 8) + 8 * 8 * 9 * 8 * 8
    heads = 2 * 8 * 8 * 9 * 8 * 8 + 8 * 8 * 8 * (3 + 19)
    assert macs_behind(model, SIZE) == neck + heads
    separable = net(neck_convs="separable")
    neck = 8 * 8 * (8 * 8) + 4 * 4 * (12 * 8) + 8 * 8 * (9 * 8 + 8 * 8)
    heads = 2 * 8 * 8 * (9 * 8 + 8 * 8) + 8 * 8 * 8 * (3 + 19)
    assert macs_behind(separable, SIZE) == neck + heads


@pytest.mark.parametrize("method", ["deps", "ofa"])
def test_a_space_of_one_network_costs_that_network_for_every_pass(data, tmp_path, method):
    """Its backbone without a classifier, with neck and heads; also in a frozen teacher's passes."""
    config = config_of(data, method)
    config["training"] = {**config["training"], "epochs": 40.0}  # every phase of OFA has a step
    plan = Plan.of(config, ["largest"], tmp_path)
    train = read_data(plan.settings.data, tmp_path)[1]["train"]
    phases = build_recipe(plan.settings, Scaling.of(train), len(train)).phases
    space = plan.settings.build_space().with_choices(depths=(1,), kernels=(3,), expands=(1,))
    forward = sum((phase.stop - phase.start) * ((1 + BACKWARD) * len(phase.slots)
                                                + phase.needs_teacher) for phase in phases)
    assert any(phase.needs_teacher for phase in phases) == (method == "ofa")
    one = backbone_macs(space, largest(space)) + plan.behind
    np.testing.assert_allclose(once_comparison.macs_of(phases, space, plan.behind), forward * one)


def test_a_teacher_of_the_one_training_is_refused(data, tmp_path):
    config, run = config_of(data), "runs/resnet"
    with pytest.raises(ValueError, match=r"teacher\.run 'runs/resnet' would teach the one"):
        Plan.of({**config, "teacher": {**config["teacher"], "run": run}}, ["smallest"], tmp_path)


def test_a_network_alone_is_the_one_of_the_space(data, tmp_path):
    """Also where the space is not as deep or wide as the family."""
    config = config_of(data, depths=(1, 2), expands=(1, 2), kernels=(3,))
    plan = Plan.of(config, ["smallest", "largest"], tmp_path)
    for name in plan.names:
        started = alone.starting_backbone(alone.Experiment.from_dict(plan.config_alone(name, 0)))
        space = plan.settings.build_space()
        assert started.module == of_subnet(space, decode(space, name))


@pytest.mark.parametrize(("names", "seeds", "message"), [
    (["d9e9"], [0], "depth 9 is not in the depths"), ([], [0], "there are no networks to compare"),
    (["smallest"], [], "there are no seeds")])
def test_what_cannot_be_compared_is_refused_before_any_training(data, tmp_path, names, seeds,
                                                                message):
    with pytest.raises(ValueError, match=message):
        compare(config_of(data), tmp_path / "all", names, seeds)
    assert not (tmp_path / "all" / "once").exists()


def test_a_network_that_would_be_trained_for_too_few_steps_is_refused(data, tmp_path):
    """Of many large ones each has a small part of what the one training costs."""
    config = config_of(data)
    config["optimizer"] = {**config["optimizer"], "warmup_epochs": 2.9}
    stages = lambda shallow: ["k3e2" if s == shallow else "k3e2x2" for s in range(5)]
    names = ["largest", *("/".join(stages(shallow)) for shallow in range(5))]
    with pytest.raises(ValueError, match=r"network .* cannot be trained alone: warmup_epochs 2\.9"):
        Plan.of(config, names, tmp_path)


@pytest.fixture
def untrained(monkeypatch):
    """In the place of all that is trained and tested: folders are claimed, and told of."""
    done, estimates = [], make_estimates(make_visits(4, 1))

    def made(what, to, config):
        done.append(what)
        workdir.claim(to, config)

    def once_train(settings, to, config):
        made("once", to, config)

    def opened(run, data_dir):
        own = workdir.load(run)
        return SimpleNamespace(cut=lambda name, to: made("cut", to, config_alone(
            own, OnceForAll.from_dict(own).space, name)))

    monkeypatch.setattr(once_comparison.once, "train", once_train)
    monkeypatch.setattr(once_comparison.TrainedOnce, "open", opened)
    monkeypatch.setattr(once_comparison.alone, "train", lambda settings, to, config: made(
        settings.backbone.subnet, to, config))
    monkeypatch.setattr(once_comparison, "estimates_on_test", lambda run: estimates)
    return done


def test_what_is_done_is_not_done_again(data, tmp_path, untrained):
    folder, config = tmp_path / "all", config_of(data)
    plan, found = compare(config, folder, ["smallest"], [0])
    name, = plan.names
    assert untrained == ["once", "cut", name]
    assert [each.variant for each in found] == [f"{name}, {ONCE}", f"{name}, {ALONE}"]
    _, again = compare(config, folder, ["smallest"], [0])
    assert len(untrained) == 3 and [each.mae["weight_g"] for each in again] == [
        each.mae["weight_g"] for each in found]
    assert f"| {name} | " in (folder / "once_comparison.md").read_text()
    with pytest.raises(ValueError, match=r"training\.epochs is"):
        compare({**config, "training": {**config["training"], "epochs": 4.0}}, folder,
                ["smallest"], [0])


def test_a_network_that_was_trained_for_another_budget_is_not_taken(data, tmp_path, untrained):
    """Of two networks each has half of what the one training costs, of one it has all."""
    compare(config_of(data), tmp_path / "all", ["smallest", "largest"], [0])
    with pytest.raises(ValueError, match=r"training\.epochs is .* there and"):
        compare(config_of(data), tmp_path / "all", ["smallest"], [0])
    assert len(untrained) == 5


def test_runs_that_were_tested_on_other_visits_are_not_compared(plan):
    found = outcomes(plan)
    del found[0].visits[3]
    with pytest.raises(ValueError, match="visit n1/1 was tested in some runs of 'small', not in"):
        differences(plan, found)


@pytest.mark.long
def test_a_whole_comparison_is_made_once(data, tmp_path, quick_compilation):
    config = config_of(data, kernels=(3, 5))
    plan, found = compare(config, tmp_path / "all", ["smallest"], [0])
    name, = plan.names
    assert [each.variant for each in found] == [f"{name}, {ONCE}", f"{name}, {ALONE}"]
    made = sorted((tmp_path / "all").rglob("test_errors.json"))
    times = [path.stat().st_mtime_ns for path in made]
    assert len(made) == 2
    compare(config, tmp_path / "all", ["smallest"], [0])
    assert [path.stat().st_mtime_ns for path in made] == times
