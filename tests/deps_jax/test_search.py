"""Search against accuracies that are made up, so that the best subnets are known."""
import jax
import numpy as np
import pytest

pytest.importorskip("pymoo", reason="needs the extra export")
from deps_jax.cost import CostModel
from deps_jax.families import MOBILENET_V3_CIFAR
from deps_jax.predictor import AccuracyPredictor, Measurements, features, sampled_names
from deps_jax.search import Genome, Goal, hypervolume, random_search, search
from deps_jax.subnet import decode, largest, smallest, stack

SPACE = MOBILENET_V3_CIFAR.with_choices(kernels=(3, 5, 7), width_mult=0.25)
COSTS = CostModel(SPACE)
GOAL = Goal(("macs",))


def made_up_accuracy(subnets):
    """Every choice helps by an amount of its own, with falling returns."""
    x = features(SPACE, subnets)
    value = x @ np.abs(np.random.default_rng(3).standard_normal(x.shape[1]))
    return 0.6 + 0.2 * np.tanh(value / 40)


@pytest.fixture(scope="module")
def worst():
    return {"macs": float(COSTS(stack([largest(SPACE)]))["macs"][0])}


@pytest.mark.parametrize("seed", range(3))
def test_search_dominates_random_search(seed, worst):
    front = search(SPACE, made_up_accuracy, COSTS, GOAL, seed=seed, generations=40)
    chance = random_search(SPACE, made_up_accuracy, COSTS, GOAL, evaluations=front.evaluations,
                           seed=seed)
    assert front.evaluations == 4000
    assert hypervolume(front, GOAL, worst) > 1.02 * hypervolume(chance, GOAL, worst)


def test_front_is_a_front_and_repeatable():
    front = search(SPACE, made_up_accuracy, COSTS, GOAL, seed=1, generations=10)
    assert (np.diff(front.costs["macs"]) > 0).all() and (np.diff(front.top1) > 0).all()
    np.testing.assert_allclose(made_up_accuracy(stack([decode(SPACE, n) for n in front.names])),
                               front.top1)
    again = search(SPACE, made_up_accuracy, COSTS, GOAL, seed=1, generations=10)
    assert again.names == front.names


def test_limits_are_kept():
    goal = Goal(("params",), {"macs": 1.2e7, "params": 2.5e5})
    front = search(SPACE, made_up_accuracy, COSTS, goal, seed=0, generations=10)
    assert (front.costs["macs"] <= 1.2e7).all() and (front.costs["params"] <= 2.5e5).all()


@pytest.mark.parametrize(("goal", "sentence"), [
    (Goal(("macs",), {"macs": 1e6}), "no subnet has macs <= 1e.06; the nearest is d2e3k3 with"),
    (Goal(("beauty",)), "'beauty' is unknown; use one of"),
    (Goal(()), "no cost to keep low"),
    (Goal(("macs",), {"macs": -1.0}), "is not above 0"),
])
def test_impossible_goals(goal, sentence):
    with pytest.raises(ValueError, match=sentence):
        search(SPACE, made_up_accuracy, COSTS, goal)


def test_genomes_are_subnets(tiny):
    genome = Genome(tiny)
    ends = genome.decode(np.stack([0 * genome.counts, genome.counts - 1]))
    for i, subnet in enumerate((smallest(tiny), largest(tiny))):
        same = jax.tree.map(lambda a, b, i=i: np.array_equal(a[i], b), ends, subnet)
        assert all(jax.tree.leaves(same))


def test_predictor_learns_what_choices_are_worth():
    names = sampled_names(SPACE, 120, seed=0)
    assert len(set(names)) == 120 and names[:2] == ["d2e3k3", "d4e6k7"]
    subnets = stack([decode(SPACE, name) for name in names])
    predictor = AccuracyPredictor.fit(SPACE, names, made_up_accuracy(subnets))
    fresh = stack([decode(SPACE, name) for name in sampled_names(SPACE, 60, seed=1)])
    error = np.sqrt(np.mean((predictor(fresh) - made_up_accuracy(fresh)) ** 2))
    assert error < 0.3 * made_up_accuracy(fresh).std()
    assert predictor.error < 0.02 and predictor.rank_correlation > 0.9
    assert predictor.error == min(predictor.compared.values())


def test_too_few_measurements():
    with pytest.raises(ValueError, match="5 measured subnets are too few"):
        AccuracyPredictor.fit(SPACE, ["d2e3"] * 5, [0.5] * 5)


def test_measurements_continue_where_they_stopped(tmp_path):
    path, asked = tmp_path / "measurements.jsonl", []

    def measure(name):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(name)
        return len(name) / 10

    with pytest.raises(KeyboardInterrupt):
        Measurements(path, {"images": 5})(["a", "bb", "ccc"], measure)
    path.write_text(path.read_text() + '{"subnet": "cc')  # cut off in the middle of a line
    asked.clear()
    top1 = Measurements(path, {"images": 5})(["a", "bb", "ccc", "ccc"], measure)
    np.testing.assert_allclose(top1, [0.1, 0.2, 0.3, 0.3])
    assert asked == ["ccc"]
    assert Measurements(path, {"images": 6}).top1 == {}
