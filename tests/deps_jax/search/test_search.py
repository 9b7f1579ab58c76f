"""Search against accuracies that are made up, so that the best subnets are known."""
import jax
import numpy as np
import pytest

pytest.importorskip("pymoo", reason="needs the extra export")
from deps_jax.runs.measured import Measurements
from deps_jax.search.accuracy_predictor import AccuracyPredictor, features
from deps_jax.search.genome import Genome, neighbours
from deps_jax.search.learning import learn, most_gain, spread_names
from deps_jax.search.local_search import undominated
from deps_jax.search.search import Goal, hypervolume, random_search, search
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
QUICK = {"population": 100, "generations": 10, "sweeps": 1}


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
    front = search(GENOME, made_up_accuracy, COSTS, GOAL, seed=seed, population=100,
                   generations=40, sweeps=0)
    chance = random_search(GENOME, made_up_accuracy, COSTS, GOAL, evaluations=front.evaluations,
                           seed=seed)
    assert 3900 < front.evaluations <= 4000  # the start may hold the same candidate twice
    volume = lambda found: hypervolume(found.top1, found.costs, GOAL, worst)
    assert volume(front) > 1.02 * volume(chance)


def test_front_is_a_front_and_repeatable():
    front = search(GENOME, made_up_accuracy, COSTS, GOAL, seed=1, **QUICK)
    assert (np.diff(front.costs["macs"]) > 0).all() and (np.diff(front.top1) > 0).all()
    np.testing.assert_allclose(made_up_accuracy(Candidates.named(SPACE, front.names)),
                               front.top1)
    again = search(GENOME, made_up_accuracy, COSTS, GOAL, seed=1, **QUICK)
    assert again.names == front.names
    assert any("@24" in name for name in front.names) and "@" not in front.names[-1]


def test_limits_are_kept():
    goal = Goal(("params",), {"macs": 1.2e7, "params": 2.5e5})
    front = search(GENOME, made_up_accuracy, COSTS, goal, seed=0, **QUICK)
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
    names = spread_names(GENOME, 120, 0)
    assert len(set(names)) == 120 and {"d2e3k3@24", "d4e6k7"} <= set(names)
    candidates = Candidates.named(SPACE, names)
    predictor = AccuracyPredictor.fit(SPACE, names, made_up_accuracy(candidates))
    fresh = Candidates.named(SPACE, spread_names(GENOME, 60, 1))
    error = np.sqrt(np.mean((predictor(fresh) - made_up_accuracy(fresh)) ** 2))
    assert error < 0.3 * made_up_accuracy(fresh).std()
    assert predictor.error < 0.02 and predictor.rank_correlation > 0.9


def test_local_search_closes_what_evolution_leaves(worst):
    volume = lambda sweeps: hypervolume(*(lambda found: (found.top1, found.costs))(search(
        GENOME, made_up_accuracy, COSTS, GOAL, population=50, generations=5, sweeps=sweeps)),
        GOAL, worst)
    volumes = [volume(sweeps) for sweeps in (0, 3, 6)]
    assert volumes[0] < volumes[1] < volumes[2]


def test_neighbours_differ_in_one_place():
    genes, counts = np.array([[0, 0, 2], [1, 0, 0]]), np.array([2, 1, 3])
    near = neighbours(genes, counts)
    assert len(near) == len(genes) * (counts - 1).sum() and (near < counts).all()
    nearest = (near[:, None] != genes).sum(2).min(1)
    assert nearest.tolist() == [1] * len(near)


@pytest.mark.parametrize("columns", [2, 3])
def test_undominated_points(columns):
    values = np.random.default_rng(0).integers(0, 12, (200, columns)).astype(float)
    values[:5] = np.inf
    best = values[undominated(values)]
    below = (values[:, None] <= best).all(2) & (values[:, None] < best).any(2)
    assert not below.any() and len(np.unique(best, axis=0)) == len(best)
    assert all((best <= row).all(1).any() for row in values) and (np.diff(best[:, 1]) >= 0).all()


def test_most_gain_takes_what_covers_most():
    known = np.array([[-0.5, 0.0], [-0.7, 8.0]])
    values = np.array([[-0.51, 1.0], [-0.6, 2.0], [-0.69, 6.0], [-0.7, 9.0]])
    assert most_gain(values, known, 2).tolist() == [1, 2]
    assert most_gain(values, known, 9).tolist() == [0, 1, 2, 3]
    assert len(most_gain(values[[0]], values[[1]] - 1, 1)) == 1


def test_learning_measures_near_the_front(worst):
    """Eighty measured networks cover more than eighty of all sizes."""
    measured = lambda names: made_up_accuracy(Candidates.named(SPACE, names))
    predictor, names, top1 = learn(GENOME, measured, COSTS, GOAL, measured=80)
    assert len(set(names)) == 80 and predictor.error < 0.02
    np.testing.assert_array_equal(top1, measured(names))
    others = spread_names(GENOME, 80, 0)
    volume = lambda names: hypervolume(measured(names), COSTS(Candidates.named(SPACE, names)), GOAL,
                                       worst)
    assert volume(names) > volume(others)


def test_genes_of_inactive_blocks_are_0():
    genes = GENOME.spread(50, 0)
    same = GENOME.canonical(genes)
    assert GENOME.decode(same).names(SPACE) == GENOME.decode(genes).names(SPACE)
    genes[:, -1], drawn = 0, np.random.default_rng(0).integers(0, GENOME.counts, genes.shape)
    shallow = np.arange(len(GENOME.counts)) < len(SPACE.stages)
    twins = np.where(shallow, 0, drawn)
    hidden = twins.copy()
    hidden[:, len(SPACE.stages) + 3] = 0  # kernel of the first stage's last block
    np.testing.assert_array_equal(GENOME.canonical(twins), GENOME.canonical(hidden))


def test_noise_is_not_learnt():
    names = spread_names(GENOME, 60, 0)
    noise = np.random.default_rng(0).standard_normal(60) / 100
    predictor = AccuracyPredictor.fit(SPACE, names, 0.5 + noise)
    fresh = predictor(Candidates.named(SPACE, spread_names(GENOME, 60, 1)))
    assert np.abs(fresh - 0.5).max() < 0.01 and abs(predictor.rank_correlation) < 0.4


def test_errors_are_those_of_networks_left_out():
    names = spread_names(GENOME, 40, 0)
    top1 = made_up_accuracy(Candidates.named(SPACE, names))
    left_out, kept = np.arange(3, 40, 5), np.arange(40) % 5 != 3
    others = AccuracyPredictor.fit(SPACE, np.array(names)[kept].tolist(), top1[kept])
    whole = AccuracyPredictor.fit(SPACE, names, top1)
    np.testing.assert_allclose(
        whole.unseen[left_out], others(Candidates.named(SPACE, np.array(names)[left_out].tolist())))
    assert whole.error == pytest.approx(np.sqrt(np.mean((whole.unseen - top1)**2)))


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
