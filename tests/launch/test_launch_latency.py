"""Tables of latencies as commands make and take them: their precision is never another."""
import json

import pytest
from launch_here import launch_here
from tiny_run import tiny_config
from tiny_spaces import save_run

pytest.importorskip("onnxruntime", reason="needs the extra export")
from deps_jax.runs.trained import read_space
from deps_jax.search.latency import CALL, LatencyTable, TimingPlan


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    save_run(folder, tiny_config())
    return folder


@pytest.fixture
def timings(run, tmp_path):
    """A file of int8 models as device_timer writes it, made up; older ones have no question."""
    space = read_space(run)
    plan = TimingPlan(space, space.resolution, "int8", seed=3)
    names = [CALL, *plan.pieces(), *(f"net {name}" for part in plan.networks() for name in part)]
    record = {"device": {"processor": "abacus", "threads": 1, "onnxruntime": "0"},
              "latencies": {name: {"p10_ms": 1.0, "median_ms": 1.0} for name in names}}
    path, older = tmp_path / "timings.json", tmp_path / "older.json"
    path.write_text(json.dumps({"question": plan.description, **record}))
    older.write_text(json.dumps(record))
    return path, older


def table_of(run, timings, *more):
    """The question of the table that is made, or the sentence of its refusal."""
    out = timings.with_name("table.json")
    code, _, err = launch_here("latency_table", f"--workdir={run}", f"--timings={timings}",
                               f"--out={out}", *more)
    return LatencyTable.load(out).question if code == 0 else err


def test_a_table_is_of_the_precision_that_was_timed(run, timings):
    new, older = timings
    question = table_of(run, new)
    assert (question["precision"], question["seed"]) == ("int8", 3)
    assert "the timings are of precision int8, not fp32" in table_of(run, new, "--precision=fp32")
    question = table_of(run, older, "--precision=int8", "--seed=3")
    assert question["precision"] == "int8"


def test_a_file_of_another_precision_is_not_made_by_the_table(run, timings):
    table_of(run, timings[0])
    table = timings[0].with_name("table.json")
    for command in ("specialize", "search"):
        code, _, err = launch_here(command, f"--workdir={run}", f"--table={table}",
                                   "--max_latency_ms=5", "--precision=fp32")
        assert code == 2 and "the latency table is of int8, but the file is asked for in fp32" in (
            err), command
