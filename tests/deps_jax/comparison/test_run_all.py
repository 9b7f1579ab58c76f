"""A whole comparison: two methods, one seed, and a folder that one process leaves to another.

BigNAS and the full model alone: DepS has both of their steps, compiled again.
"""
import csv

import pytest
from other_process import holding
from tiny_comparison import tiny_comparison

from deps_jax.common.files import locks, workdir
from deps_jax.comparison import one_run
from deps_jax.comparison.plan import MAY_DIFFER, Comparison, plan
from deps_jax.comparison.report import write_report
from deps_jax.comparison.run_all import compare
from deps_jax.training import trainer

pytestmark = pytest.mark.long


def comparison(**changes):
    return tiny_comparison(chosen=("plain", "bignas"), reference="bignas", **changes)


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("comparison") / "out"


def test_one_process_takes_over_what_another_has_left(folder, monkeypatch):
    """The first dies in the middle of a run; the second finds it held; the third finishes it."""
    config, call = comparison(), trainer.Trainer.__call__

    def dying(self, step, *rest):
        if step == 25:
            raise Killed
        return call(self, step, *rest)

    monkeypatch.setattr(trainer.Trainer, "__call__", dying)
    with pytest.raises(Killed):
        compare(config, folder)
    monkeypatch.undo()
    place = folder / one_run.RUNS / "plain-seed0"
    with holding(place / locks.ALONE):
        said = compare(config, folder)
        assert "other processes are at work on plain-seed0" in said
        assert "not finished: plain (seed 0)" in said
        assert not place.with_name("plain-seed0.json").exists()
    before = place.with_name("bignas-seed0.json").read_bytes()
    said = compare(config, folder)
    assert "not finished" not in said and "at work" not in said
    assert place.with_name("bignas-seed0.json").read_bytes() == before


def test_cost_was_as_planned(folder):
    planned = {run.name: run for run in plan(Comparison.from_dict(comparison()))}
    records = {record["name"]: record for record in one_run.read_records(folder)}
    assert set(records) == {"bignas", "plain"}
    for name, record in records.items():
        assert record["planned_macs"] == planned[name].macs
        assert record["measured_macs"] == pytest.approx(record["planned_macs"], rel=0.02)
        if name == "plain":  # draws nothing; its steps after the checkpoint count once
            assert record["measured_macs"] == pytest.approx(record["planned_macs"], rel=1e-5)
        assert record["seconds"] > record["step_seconds"] > 0
        assert record["devices"].startswith("2 x cpu (")


def test_all_subnets_on_all_test_images_in_the_files(folder):
    with (folder / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == {"bignas", "plain"}
    subnets = [row["subnet"] for row in rows if row["run"] == "bignas"]
    assert len(subnets) == len(set(subnets)) >= 4
    assert [row["subnet"] for row in rows if row["run"] == "plain"] == subnets[-1:]
    assert {row["test_images"] for row in rows} == {"359"}
    assert all(0 <= float(row["top1"]) <= 1 for row in rows)
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_folder_is_reported_again_and_another_comparison_refused(folder):
    page = folder / "comparison.html"
    written = page.read_text()
    page.unlink()
    write_report(folder)
    assert page.read_text() == written
    workdir.check(folder, comparison(seeds=(0, 5)) | {"chosen": ["deps"]}, may_differ=MAY_DIFFER)
    with pytest.raises(ValueError, match=r"budget_epochs is 20\.0 there and 30\.0 now"):
        compare(comparison(budget_epochs=30.0), folder)
    with pytest.raises(ValueError, match=r"method\.temperature is None there and 2\.0 now"):
        compare(comparison(**{"runs.bignas.method.temperature": 2.0}), folder)
