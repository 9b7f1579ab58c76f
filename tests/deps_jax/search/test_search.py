"""Search against accuracies that are made up, so that the best subnets are known."""
import jax
import numpy as np
import pytest

pytest.importorskip("pymoo", reason="needs the extra export")
from deps_jax.runs.measured import Measurements
from deps_jax.search.accuracy_predictor import AccuracyPredictor, features, sampled_names
from deps_jax.search.search import Genome, Goal, hypervolume, random_search, search
from deps_jax.space.candidate import (
    Candidates,
    by_resolution,
    candidate_name,
    check_resolutions,
    parse_candidate,
)
from deps_jax.space.cost import CostModel
from deps_jax.space.families import MOBILENET_V3_CIFAR
from deps_jax.space.subnet import largest, smallest

SPACE = MOBILENET_V3_CIFAR.with_choices(kernels=(3, 5, 7), width_mult=0.25)
RESOLUTIONS = (24, 32)
GENOME = Genome(SPACE, RESOLUTIONS)
COSTS = by_resolution({pixels: CostModel(SPACE, resolution=pixels) for pixels in RESOLUTIONS})
GOAL = Goal(("macs",))


def made_up_accuracy(candidates):
    """Every choice helps by an amount of its own, with falling returns."""
    x = features(SPACE, candidates, RESOLUTIONS)
    value = x @ np.abs(np.random.default_rng(3).standard_normal(x.shape[1]))
    return 0.6 + 0.2 * np.tanh(value / 40) + 0.02 * (candidates.resolution == 32)


@pytest.fixture(scope="module")
def worst():
    return {"macs": float(COSTS(Candidates.named(SPACE, ["largest"]))["macs"][0])}


@pytest.mark.parametrize("seed", range(3))
def test_search_dominates_random_search(seed, worst):
    front = search(GENOME, made_up_accuracy, COSTS, GOAL, seed=seed, generations=40)
    chance = random_search(GENOME, made_up_accuracy, COSTS, GOAL, evaluations=front.evaluations,
                           seed=seed)
    assert front.evaluations == 4000
    volume = lambda found: hypervolume(found.top1, found.costs, GOAL, worst)
    assert volume(front) > 1.02 * volume(chance)


def test_front_is_a_front_and_repeatable():
    front = search(GENOME, made_up_accuracy, COSTS, GOAL, seed=1, generations=10)
    assert (np.diff(front.costs["macs"]) > 0).all() and (np.diff(front.top1) > 0).all()
    np.testing.assert_allclose(made_up_accuracy(Candidates.named(SPACE, front.names)),
                               front.top1)
    again = search(GENOME, made_up_accuracy, COSTS, GOAL, seed=1, generations=10)
    assert again.names == front.names
    assert any("@24" in name for name in front.names) and "@" not in front.names[-1]


def test_limits_are_kept():
    goal = Goal(("params",), {"macs": 1.2e7, "params": 2.5e5})
    front = search(GENOME, made_up_accuracy, COSTS, goal, seed=0, generations=10)
    assert (front.costs["macs"] <= 1.2e7).all() and (front.costs["params"] <= 2.5e5).all()


@pytest.mark.parametrize(("goal", "sentence"), [
    (Goal(("macs",), {"macs": 1e6}), "no subnet has macs <= 1e.06; the nearest is d2e3k3@24 with"),
    (Goal(("beauty",)), "'beauty' is unknown; use one of"),
    (Goal(()), "no cost to keep low"),
    (Goal(("macs",), {"macs": -1.0}), "is not above 0"),
])
def test_impossible_goals(goal, sentence):
    with pytest.raises(ValueError, match=sentence):
        search(GENOME, made_up_accuracy, COSTS, goal)


def test_random_search_may_find_nothing_within_the_limits(worst):
    cheapest = COSTS(GENOME.decode(0 * GENOME.counts[None]))
    goal = Goal(("macs",), {"macs": float(cheapest["macs"][0])})
    front = search(GENOME, made_up_accuracy, COSTS, goal, population=10, generations=2)
    assert len(front.names) == 1 and front.names[0].startswith("d2e3k3@24")
    chance = random_search(GENOME, made_up_accuracy, COSTS, goal, evaluations=20)
    assert chance.names == () and hypervolume(chance.top1, chance.costs, goal, worst) == 0


def test_genomes_are_candidates(tiny):
    genome = Genome(tiny, (9, 18))
    ends = genome.decode(np.stack([0 * genome.counts, genome.counts - 1]))
    assert ends.resolution.tolist() == [9, 18]
    for i, subnet in enumerate((smallest(tiny), largest(tiny))):
        same = jax.tree.map(lambda a, b, i=i: np.array_equal(a[i], b), ends.subnets, subnet)
        assert all(jax.tree.leaves(same))


def test_names_of_candidates(tiny):
    for name in ("d1e1k3", "d1e1k3@18"):
        subnet, resolution = parse_candidate(tiny, name)
        assert candidate_name(tiny, subnet, resolution) == name
    assert parse_candidate(tiny, "smallest")[1] == tiny.resolution
    with pytest.raises(ValueError, match=r"position 8: 'big' is no resolution; write pixels"):
        parse_candidate(tiny, "d1e1k3@big")
    assert check_resolutions((32, 24, 32)) == (24, 32)
    with pytest.raises(ValueError, match=r"resolutions \[0, 24\] must be"):
        check_resolutions((0, 24))


def test_costs_by_resolution_are_those_of_each():
    both = Candidates.named(SPACE, ["largest", "largest@24", "d2e3k3"])
    costs = COSTS(both)["macs"]
    for i, pixels in enumerate((32, 24, 32)):
        assert costs[i] == CostModel(SPACE, resolution=pixels)(
            both[np.array([i])].subnets)["macs"][0]


def test_predictor_learns_what_choices_are_worth():
    names = sampled_names(SPACE, 120, 0, RESOLUTIONS)
    assert len(set(names)) == 120 and names[:2] == ["d2e3k3@24", "d4e6k7"]
    candidates = Candidates.named(SPACE, names)
    predictor = AccuracyPredictor.fit(SPACE, names, made_up_accuracy(candidates))
    fresh = Candidates.named(SPACE, sampled_names(SPACE, 60, 1, RESOLUTIONS))
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
