"""Which trials are chosen, and that the comparison of the best is what `tune_cifar10` says."""
import pytest
from test_comparison_report import record

from configs import tune_cifar10
from deps_jax.common.files import sealed, workdir
from deps_jax.comparison import one_run
from deps_jax.comparison.plan import Comparison, plan
from deps_jax.comparison.tuning import best_trials, method_of, with_best
from deps_jax.training.experiment import Experiment


@pytest.fixture
def trials(tmp_path):
    """Writes records of trials into a folder."""
    def write(*records, **changes):
        config = tune_cifar10.get_config("digits")
        config.update(changes)
        workdir.claim(tmp_path, config.to_dict())
        for each in records:
            sealed.write(tmp_path / one_run.RUNS / f"{each['name']}-seed{each['seed']}.json", each)
        return tmp_path

    return write


def test_the_best_of_equally_many_trials(trials):
    folder = trials(
        record("deps_0", 0, 0.5, 0.6), record("deps_1", 0, 0.4, 0.8), record("deps_2", 0, 0.9, 0.9),
        record("brisk_0", 0, 0.7, 0.7), record("brisk_3", 0, diverged="loss is nan"))
    assert best_trials(folder) == {"deps": "deps_1", "brisk": "brisk_0"}  # two of each count
    config = with_best(tune_cifar10.get_config("digits,final").to_dict(), folder)
    comparison = Comparison.from_dict(config)
    assert comparison.chosen == ("deps", "brisk") and comparison.measured_on == "test"
    assert comparison.runs["deps"]["optimizer"]["learning_rate"] == 0.2
    assert not set(comparison.seeds) & {0} and len(comparison.seeds) == 5
    runs = plan(comparison)
    assert [run.label for run in runs[:2]] == ["deps-seed11", "brisk-seed11"]
    assert {run.measured_on for run in runs} == {"test"}


def test_trials_that_must_not_choose_or_are_missing_are_refused(trials):
    folder = trials(record("deps_0", 0, 0.5, 0.6))
    with pytest.raises(ValueError, match="method 'brisk' has no finished trial"):
        best_trials(folder)


def test_test_images_choose_nothing(trials):
    folder = trials(record("deps_0", 0, 0.5, 0.6), measured_on="test")
    with pytest.raises(ValueError, match="measured on test images, which must not choose"):
        best_trials(folder)


def test_the_final_config_alone_compares_nothing():
    with pytest.raises(ValueError, match="0 chosen runs"):
        Comparison.from_dict(tune_cifar10.get_config("final").to_dict())
    config = tune_cifar10.get_config().to_dict()
    with pytest.raises(ValueError, match="measured_on 'train' is unknown"):
        Comparison.from_dict({**config, "measured_on": "train"})


def test_trials_take_turns_and_are_as_many():
    chosen = tune_cifar10.get_config().chosen
    assert [method_of(name) for name in chosen] == ["deps", "brisk"] * (len(chosen) // 2)
    assert method_of("deps_calr") == "deps_calr"


def test_trials_cost_the_same_and_differ_in_what_is_tuned():
    config = tune_cifar10.get_config("digits").to_dict()
    for run in plan(Comparison.from_dict(config)):
        assert run.macs == pytest.approx(run.budget_macs, rel=0.01)
        assert run.measured_on == "validation"
        experiment = Experiment.from_dict(run.config)
        assert experiment.training.rate_tables
        assert experiment.method.name == {"deps": "deps", "brisk": "deps_brisk"}[
            method_of(run.name)]
