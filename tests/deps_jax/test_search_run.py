"""A whole search in a run of digits."""
import json

import pytest
from conftest import save_run
from test_experiment import tiny_config

pytest.importorskip("pymoo", reason="needs the extra export")
from deps_jax.cost import CostModel
from deps_jax.export import ExportSettings, export
from deps_jax.search import Goal
from deps_jax.search_run import SearchSettings, best_within, search_run
from deps_jax.specialize import specialize
from deps_jax.subnet import decode, largest, stack
from deps_jax.trained import TrainedRun

SETTINGS = SearchSettings(measured=20, images=50, population=20, generations=5, front=4)


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
    assert record["hypervolume"] > 0 and len(record["uniform"]) >= 2
    page = (run.folder / "search" / "front.html").read_text()
    assert points[0]["subnet"] in page and page.count("<circle") == len(points) + len(
        record["uniform"])
    assert "rank correlation" in text and points[0]["subnet"] in text


def test_promise_is_what_the_exported_file_gives(searched):
    run, points, _ = searched
    best = best_within(points)
    exported = export(run, decode(run.space, best["subnet"]), run.folder / "files",
                      ExportSettings())
    assert exported.card["check"]["top1"] == pytest.approx(best["top1"], abs=0.005)
    assert exported.card["size_bytes"] == pytest.approx(best["file_bytes_fp32"], abs=60)


def test_second_search_measures_nothing_again(searched):
    run, points, _ = searched
    measured = run.folder / "measurements.jsonl"
    before = measured.read_text()
    again, _ = search_run(run, Goal(("macs",), {"macs": 2e5}), run.folder / "search",
                          settings=SETTINGS)
    assert again == points and measured.read_text() == before


def test_one_call_from_run_to_file(searched, tmp_path):
    run, _, _ = searched
    limit = 0.9 * 4 * CostModel(run.space)(stack([largest(run.space)]))["params"][0]
    exported, text = specialize(run, {"file_bytes_fp32": limit}, tmp_path,
                                settings=ExportSettings(), search_settings=SETTINGS)
    assert exported.path.stat().st_size <= limit and not exported.failures
    page = (tmp_path / "specialized.html").read_text()
    assert exported.path.name in page and "file_bytes_fp32 at most" in page
    assert text.splitlines()[-1].startswith("report:")
