"""A whole search in a run of digits."""
import dataclasses
import json

import pytest
from tiny_run import tiny_config
from tiny_spaces import save_run

pytest.importorskip("pymoo", reason="needs the extra export")
from deps_jax.common.files import sealed
from deps_jax.evaluation.certainty import ends, is_known
from deps_jax.export.export import ExportSettings
from deps_jax.export.export_front import export_front, read_front
from deps_jax.runs.trained import TrainedRun
from deps_jax.search import specialize as specialize_module
from deps_jax.search.latency import LatencyTable, TimingPlan
from deps_jax.search.search import Goal
from deps_jax.search.search_run import SearchSettings, about_choice, best_within, search_run
from deps_jax.search.specialize import specialize
from deps_jax.space.candidate import parse_candidate
from deps_jax.space.cost import CostModel
from deps_jax.space.subnet import largest, stack

SETTINGS = SearchSettings(measured=20, images=50, population=20, generations=5,
                          sweeps=2, front=4)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    save_run(folder, tiny_config(**{"data.validation_images": 100}))
    run = TrainedRun.open(folder)
    goal = Goal(("macs",), {"macs": 2e5})
    return run, *search_run(run, goal, folder / "search", settings=SETTINGS)


def test_front_is_written_and_keeps_its_limit(searched):
    run, points, text = searched
    record = json.loads((run.folder / "search" / "front.json").read_text())
    assert record["front"] == points and all(point["macs"] <= 2e5 for point in points)
    assert record["hypervolumes"]["searched, measured"] > 0
    others = record["uniform subnets"] + record["random search"]
    assert len(record["uniform subnets"]) >= 2
    page = (run.folder / "search" / "front.html").read_text()
    assert points[0]["subnet"] in page and page.count("<circle") == len(points) + len(others)
    assert "rank correlation" in text and points[0]["subnet"] in text


def test_points_have_intervals_and_the_choice_its_doubt(searched):
    run, points, text = searched
    point = points[0]
    assert point["images"] == 100 and point["top1_low"] < point["top1"] < point["top1_high"]
    assert "100 validation images cannot tell 60% from 78%" in text
    assert "It was chosen on these images, which flatters it" in text
    page = (run.folder / "search" / "front.html").read_text()
    assert "Lines are 95&nbsp;% intervals" in page and "cannot tell" in page
    assert f"({100 * point['top1_low']:.1f} to {100 * point['top1_high']:.1f})" in page


def test_the_choice_is_by_the_lower_end():
    """9 of 10 right are less sure to be good than 850 of 1000; of equals, the cheapest is taken."""
    few, many, dear = (
        {"subnet": name, "top1": top1, "images": images, **ends("top1", top1, images)}
        for name, top1, images in (("few", 0.9, 10), ("many", 0.85, 1000), ("dear", 0.85, 1000)))
    assert best_within([few, many, dear]) is many
    assert best_within([{"subnet": "a", "top1": 0.5}, {"subnet": "b", "top1": 0.6}])["top1"] == 0.6
    assert about_choice([few, many]).startswith("1000 validation images cannot tell 67% from 73%")
    assert "1 of the 1 other points" in about_choice([few, many])
    assert about_choice([{**many, "images": 5000}]) == ""


def test_promises_are_what_the_exported_files_give(searched, tmp_path):
    run, points, _ = searched
    front = read_front(run.folder / "search" / "front.json")
    assert front == points
    failures, doubts, text = export_front(run, front, tmp_path, ExportSettings())
    # fp32 is compared by logits; 100 images tell a rare accuracy to +-5 points, no middling one.
    assert len(doubts) == sum(not is_known(point["top1"], 100) for point in points)
    assert not failures and "largest difference to the promise: 0.00 points" in text
    for point in points:
        files = list(tmp_path.glob(f"{point['subnet'].replace('/', '_')}_*.onnx"))
        assert files[0].stat().st_size == pytest.approx(point["file_bytes_fp32"], abs=60)
    front[0]["top1"] += 0.02
    failures, _, _ = export_front(run, front[:1], tmp_path, ExportSettings())
    assert len(failures) == 1 and "promised" in failures[0]


def test_what_is_no_front(tmp_path):
    (tmp_path / "front.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no front"):
        read_front(tmp_path / "front.json")
    with pytest.raises(ValueError, match="does not exist"):
        read_front(tmp_path / "nothing.json")


def test_search_over_resolutions_without_a_predictor(searched, tmp_path):
    run, _, _ = searched
    settings = dataclasses.replace(SETTINGS, direct=True, population=4, generations=2,
                                   resolutions=(8, 16))
    points, text = search_run(run, Goal(("macs",)), tmp_path, settings=settings)
    assert "measured directly" in text
    _, resolutions = zip(*(parse_candidate(run.space, p["subnet"]) for p in points), strict=True)
    assert set(resolutions) <= {8, 16} and "@16" in (tmp_path / "front.json").read_text()


def test_tables_must_cover_every_resolution(searched, tmp_path):
    run, _, _ = searched
    plan = TimingPlan(run.space, run.space.resolution)
    latencies = {name: {"p10_ms": 1 + len(name), "median_ms": 1} for name in plan.models()}
    table = LatencyTable.fit(plan, {"device": {}, "latencies": latencies})
    settings = dataclasses.replace(SETTINGS, resolutions=(8, 16))
    with pytest.raises(ValueError, match="no latency table is for 16 px"):
        search_run(run, Goal(("latency_ms",)), tmp_path, tables=[table], settings=settings)


def test_second_search_measures_nothing_again(searched):
    run, points, _ = searched
    measured = run.folder / "measurements.jsonl"
    before = measured.read_text()
    again, _ = search_run(run, Goal(("macs",), {"macs": 2e5}), run.folder / "search",
                          settings=SETTINGS)
    assert again == points and measured.read_text() == before


def test_a_latency_limit_is_kept_by_whole_networks(searched, tmp_path, monkeypatch):
    run, points, _ = searched
    small, large = ({**points[0], "subnet": name, "top1": top1, "top1_low": top1 - 0.1,
                     "latency_ms": 400.0}
                    for name, top1 in (("d1e1k3", 0.5), ("d2e2k3", 0.6)))

    def made_up(models, **_):
        """The larger network takes far longer than its pieces, so the table is wrong there."""
        slow = "d2e2k3"
        return {name: {"p10_ms": 600.0 if name == slow else 400.0, "median_ms": 0}
                for name in models}

    def made_up_search(run, goal, folder, **_):
        record = sealed.read(run.folder / "search" / "front.json", "")
        record |= {"goal": {"objectives": goal.objectives}, "front": [small, large],
                   "random search": [], "uniform subnets": []}
        sealed.write(folder / "front.json", record)
        return [small, large], "text"

    monkeypatch.setattr(specialize_module, "measure", made_up)
    monkeypatch.setattr(specialize_module, "search_run", made_up_search)
    exported, text = specialize(run, {"latency_ms": 1e4}, tmp_path, settings=ExportSettings(),
                                search_settings=SETTINGS)
    assert exported.card["subnet"] == "d2e2k3"
    exported, text = specialize(run, {"latency_ms": 500.0}, tmp_path, settings=ExportSettings(),
                                search_settings=SETTINGS)
    assert exported.card["subnet"] == "d1e1k3" and not exported.failures
    assert "600.000 ms (400.000 predicted)  d2e2k3" in text
    assert (tmp_path / "latency_table_8px.json").is_file()


def test_one_call_from_run_to_file(searched, tmp_path):
    run, _, _ = searched
    limit = 0.9 * 4 * CostModel(run.space)(stack([largest(run.space)]))["params"][0]
    exported, text = specialize(run, {"file_bytes_fp32": limit}, tmp_path,
                                settings=ExportSettings(), search_settings=SETTINGS)
    assert exported.path.stat().st_size <= limit and not exported.failures
    page = (tmp_path / "specialized.html").read_text()
    assert exported.path.name in page and "file_bytes_fp32 at most" in page
    assert page.count('class="chosen"') == 1 and page.count('stroke-width="2"') >= 1
    assert text.splitlines()[-1].startswith("report:")


def test_a_limit_below_0_is_refused_before_anything_is_opened_or_timed(tmp_path):
    with pytest.raises(ValueError, match="the limit of latency_ms, -1, is not above 0"):
        specialize(None, {"latency_ms": -1.0}, tmp_path, settings=ExportSettings(),
                   search_settings=SETTINGS)
    with pytest.raises(ValueError, match="measured 19 is too few subnets to learn accuracies from"):
        dataclasses.replace(SETTINGS, measured=19)
    assert dataclasses.replace(SETTINGS, measured=0, direct=True).measured == 0
