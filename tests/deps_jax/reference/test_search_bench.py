"""The benchmark of predictor and search: its arithmetic, and small forms of its parts."""
import numpy as np
import pytest

pytest.importorskip("pymoo", reason="needs the extra export")
from deps_jax.reference import search_bench
from deps_jax.reference.search_bench import (
    Published,
    Recorded,
    areas,
    benchmark,
    device_part,
    first_place,
    predictor_part,
    search_part,
    text,
)
from deps_jax.search.search import Goal, hypervolume


@pytest.fixture(scope="module")
def published(shared):
    return Published.read(shared / "data" / "ofa_imagenet")


def recorded(top1, macs):
    asked = Recorded(None, None)
    asked.top1, asked.macs = np.array(top1), np.array(macs)
    return asked


def test_areas_are_hypervolumes():
    rng = np.random.default_rng(0)
    top1, macs = rng.uniform(0.65, 0.80, 60), 1e6 * rng.integers(30, 60, 60) * 10.0
    curve = areas(recorded(top1, macs), 50)
    assert len(curve) == 50 and (np.diff(curve) >= 0).all()
    for n in (1, 7, 50):
        whole = hypervolume(np.maximum(top1[:n] - 0.70, 0), {"macs": np.minimum(macs[:n], 500e6)},
                            Goal(("macs",)), {"macs": 500e6})
        assert curve[n - 1] == pytest.approx(whole * 500 * 100)


def test_first_place_of_a_target():
    curve = np.array([0.0, 1.0, 1.0, 3.0])
    assert [first_place(curve, target) for target in (0.5, 1.0, 2.0, 3.0, 4.0)] == [
        2, 2, 4, 4, None]


def test_published_tables(published):
    assert len(published.top1) == len(set(published.candidates.names(search_bench.SPACE))) > 1000
    assert 0.70 < published.top1.min() < published.top1.max() < 0.78
    assert sum(map(len, published.traces.values())) > len(published.top1)


@pytest.mark.parametrize(("name", "content", "sentence"), [
    ("a.txt", "", "holds no tables of measured subnets"),
    ("a.csv", "Sub-network,MACs\n{},3\n", "is no table of measured subnets"),
    ("a.csv", "Sub-network,Top-1 Acc (%)\nprint(),70\n", "is no table of measured subnets"),
    ("a.csv", "Sub-network,Top-1 Acc (%)\n", "has no rows"),
])
def test_other_tables_are_refused(tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=sentence):
        Published.read(tmp_path)


def test_predictor_orders_networks_it_has_not_seen(published):
    """The best of ridge, support vectors and boosted trees has 0.880 and 0.903 (mean of five)."""
    part = predictor_part(published, seeds=2, sizes=(100, 200))
    tau = {size: np.mean(found["tau"]) for size, found in part["methods"]["ours"].items()}
    ridge = part["methods"]["ridge on choices"]
    assert tau[100] > 0.90 and tau[200] > 0.915
    assert all(tau[size] > np.mean(ridge[size]["tau"]) for size in tau)
    with pytest.raises(ValueError, match="too few to learn from 5000"):
        predictor_part(published, seeds=1, sizes=(5000,))


def test_learning_asks_for_fewest(published):
    truth = search_bench._ridge(published.candidates, published.top1)
    part = search_part(published, truth, seeds=1, evaluations=600, learnt=75)
    methods = part["methods"]
    assert methods["ours, learning"]["asked"] == [75] and methods["random"]["asked"] == [600]
    assert methods["ours, learning"]["share"][0] > methods["NSGA-II of pymoo"]["share"][0]
    assert max(max(found["share"]) for found in methods.values()) == 1
    assert "by seed" in text({"search": {"ridge": part}})


def test_limits_of_a_phone_are_kept(shared):
    part = device_part(shared / "data" / "ofa_note10", seeds=1, limits_ms=(20,))
    assert part["limits"][20]["latency_ms"][0] <= 20 and part["limits"][20]["top1"][0] >= 0.805
    assert "81.71%, 24.73 ms" in text({"device": part})


def test_unknown_parts(tmp_path):
    with pytest.raises(ValueError, match="part 'speed' is unknown; choose from predictor, search"):
        benchmark(tmp_path, ["speed"], 1)
