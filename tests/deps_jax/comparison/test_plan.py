"""Which runs a comparison has, and what it refuses in one sentence before anything is trained."""
import pytest
from tiny_comparison import tiny_comparison

from configs import brisk_cifar10, brisk_parts_cifar10, compare_cifar10
from deps_jax.common.files import workdir
from deps_jax.comparison.plan import Comparison, plan
from deps_jax.training.experiment import Experiment


def planned(**changes):
    return plan(Comparison.from_dict(tiny_comparison(**changes)))


def test_methods_times_seeds_at_equal_cost():
    runs = planned(arg="plain,deps,bignas,ofa,compofa_largest", seeds=(3, 1))
    assert [run.seed for run in runs] == [3] * 5 + [1] * 5  # all methods early, not all seeds
    assert len({run.label for run in runs}) == 10
    for run in runs:
        assert run.macs == pytest.approx(run.budget_macs, rel=0.02)
        assert run.budget_macs == runs[0].budget_macs
        experiment = Experiment.from_dict(run.config)
        assert round(experiment.training.epochs * 5) == run.steps
        assert (experiment.seed, experiment.method.name) == (run.seed, run.name)
    plain = next(run for run in runs if run.name == "plain")
    assert plain.steps == 100 and plain.macs == plain.budget_macs  # that is what the budget is


@pytest.mark.parametrize(("changes", "message"), [
    ({"chosen": ("deps", "depss")}, "run 'depss' is unknown; use some of"),
    ({"runs.deps.method.name": "depss"}, "run 'deps': method.name 'depss' is unknown"),
    ({"budget_epochs": 0.0}, r"budget_epochs 0.0 is not above 0"),
    ({"budget_epochs": 0.5}, "budget_epochs 0.5 does not do for run 'deps': the nearest run has"),
    ({"seeds": ()}, "0 seeds"),
    ({"seeds": (1, 1)}, "seed 1 is named twice"),
    ({"seeds": (-1,)}, "seed -1 is no whole number"),
    ({"base.data.name": "folder", "base.data.dir": "/nowhere"}, "/nowhere"),
    ({"base.data.name": "cifar10", "base.data.dir": "/nowhere"}, "/nowhere"),
    ({"base.subnet": "d1e1"}, "subnet 'd1e1' is to be trained alone|base.subnet"),
    ({"base.training.batch_size": 7}, "7"),
    ({"base.evaluation.calibration_images": 4000}, "4000"),
])
def test_bad_input_is_one_sentence(changes, message):
    with pytest.raises(ValueError, match=message) as refused:
        planned(**changes)
    assert "\n" not in str(refused.value)


def test_what_runs_share_is_not_theirs():
    config = tiny_comparison()
    config["runs"]["bignas"]["training"] = {"epochs": 3}
    with pytest.raises(ValueError, match=r"run 'bignas' sets training\.epochs, which all"):
        Comparison.from_dict(config)
    config["runs"]["bignas"] = {"space": {"width_mult": 2.0}}
    with pytest.raises(ValueError, match="run 'bignas' sets space, which all runs share"):
        Comparison.from_dict(config)
    config["runs"] = {"../deps": {}, "deps": {}}
    with pytest.raises(ValueError, match=r"'\.\./deps' cannot be the name of a folder"):
        Comparison.from_dict({**config, "chosen": ("deps",)})


def test_a_teacher_from_outside_is_not_equal_cost():
    with pytest.raises(ValueError, match="run 'ofa' has a teacher from outside"):
        planned(arg="ofa", **{"runs.ofa.method.teacher": "runs/old"})


def test_ablations_change_one_thing_each():
    config = compare_cifar10.get_config("ablations").to_dict()
    comparison = Comparison.from_dict(config)
    build = lambda name: Experiment.from_dict(comparison.config(name, 0)).method
    for name, fields in compare_cifar10.ABLATIONS.items():
        differing = {field for field in vars(build("deps"))
                     if getattr(build(name), field) != getattr(build("deps"), field)}
        assert differing == set(fields), name
    assert not build("bignas").ramp_epochs and build("sandwich").loss == "hard"
    assert comparison.config("deps_no_shrinking", 0)["cadence"]["evaluate_every"] > 0


def test_parts_of_the_recipe_are_taken_back_one_at_a_time():
    comparison = Comparison.from_dict(brisk_parts_cifar10.get_config().to_dict())
    flat = lambda config: workdir.flatten({**config, "seed": 0, "cadence": {}})
    whole = flat(comparison.config("brisk", 0))
    assert whole == flat(brisk_cifar10.get_config().to_dict()) | {"training.rate_tables": True}
    for name, changes in brisk_parts_cifar10.CHANGES.items():
        own = flat(comparison.config(name, 0))
        assert {field for field in own if own[field] != whole[field]} == set(
            workdir.flatten(changes)), name
