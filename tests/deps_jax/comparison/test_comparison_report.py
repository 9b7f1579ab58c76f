"""What the report says of fabricated records, and that what it cannot know it does not say."""
import csv

import pytest
from html_pages import Page
from tiny_comparison import tiny_comparison

from deps_jax.common.files import sealed, workdir
from deps_jax.comparison import one_run, summary
from deps_jax.comparison.report import write_report

MACS = {"d1e1k3": 1_000_000, "d2e2k3": 2_000_000}


def record(name, seed, *top1, method=None, diverged="", curve=(), images=10_000):
    subnets = list(MACS)[-len(top1):] if top1 else []  # plain training has the largest only
    return {"name": name, "seed": seed, "method": method or name, "config": {}, "steps": 100,
            "epochs": 5.0, "budget_macs": 1e12, "planned_macs": 1e12, "measured_macs": 0.99e12,
            "seconds": 120.0, "step_seconds": 90.0, "version": "0.1.0", "commit": "",
            "diverged": diverged, "largest_on_validation": [list(point) for point in curve],
            "subnets": [{"subnet": subnet, "macs": MACS[subnet], "params": 1000, "images": images,
                         "top1": value, "top5": 1.0, "loss": 0.5}
                        for subnet, value in zip(subnets, top1, strict=True)]}


@pytest.fixture
def report(tmp_path):
    """Writes records into a folder and reads its page."""
    def write(*records, **changes):
        config = tiny_comparison("deps,bignas,plain", **changes)
        workdir.claim(tmp_path, config)
        for each in records:
            sealed.write(tmp_path / one_run.RUNS / f"{each['name']}-seed{each['seed']}.json", each)
        return write_report(tmp_path), Page((tmp_path / "comparison.html").read_text())

    return write


def test_means_spread_and_paired_differences(report):
    text, page = report(
        record("deps", 0, 0.60, 0.70), record("deps", 1, 0.62, 0.74),
        record("bignas", 0, 0.50, 0.60), record("bignas", 1, 0.56, 0.62),
        record("plain", 0, 0.80), record("plain", 1, 0.82), seeds=(0, 1))
    head, *rows = page.rows[:4]
    assert head == ["run", "seeds", "d1e1k3 (1 M)", "d2e2k3 (2 M)", "mean of all"]
    assert rows[0] == ["deps", "0, 1", "61.00 ± 1.41", "72.00 ± 2.83", "66.50 ± 2.12"]
    assert rows[1][:3] == ["bignas", "0, 1", "53.00 ± 4.24"]
    assert rows[2] == ["plain", "0, 1", "not trained", "81.00 ± 1.41", "not trained"]
    # Differences -0.10 and -0.06: mean -8, sd 2.828, t(1) = 12.706, so 12.706 * 2 = 25.41.
    assert page.rows[5][:3] == ["bignas", "2", "-8.00 (-33.41 to +17.41)"]
    assert page.rows[6] == ["plain", "2", "", "+9.00 (-3.71 to +21.71)", ""]
    assert "with 2 seeds 12.71 standard errors" in page.text
    assert page.rows[8] == ["deps", "5", "100", "100.00%", "99.00%", "2", "1.5"]
    own = dict(page.rows[12:15])
    assert own["plain"] == "method.name plain"  # its optimizer is that of all
    assert "method.ramp_epochs 0.4" in own["deps"] and "None" not in own["deps"]
    assert "1.00 x 10^12 multiply-adds" in page.text
    assert ["data.name", "digits"] in page.rows
    assert not any(row[0].startswith(("method", "seed", "training.epochs")) for row in page.rows)
    assert "deps  " in text and "not finished" not in text


def test_two_rows_do(report, tmp_path):
    """One seed has no spread and no interval, and the page says what is missing."""
    text, page = report(record("deps", 0, 0.6, 0.7), record("bignas", 0, 0.5, 0.6))
    assert page.rows[1] == ["deps", "0", "60.00", "70.00", "65.00"]
    assert page.rows[4] == ["bignas", "1", "-10.00", "-10.00", "-10.00"]
    assert "which a single pair has not" in page.text
    assert "Not finished: plain (seed 0)" in page.text
    assert "not finished: plain (seed 0)" in text and page.count("img") == 1
    with (tmp_path / "comparison.csv").open(newline="") as file:
        assert [(row["run"], row["subnet"], row["top1"]) for row in csv.DictReader(file)] == [
            ("deps", "d1e1k3", "0.6"), ("deps", "d2e2k3", "0.7"),
            ("bignas", "d1e1k3", "0.5"), ("bignas", "d2e2k3", "0.6")]


def test_minutes_of_different_machines_are_told_to_compare_nothing(report, tmp_path):
    alike = [record("deps", 0, 0.6, 0.7), record("bignas", 0, 0.5, 0.6)]
    _, page = report(*({**each, "devices": "8 x TPU v5e"} for each in alike))
    assert "the machines differ" not in page.text
    assert "On 8 x TPU v5e: deps (seed 0), bignas (seed 0)." in page.text
    same = (tmp_path / "comparison.png").read_bytes()
    _, page = report({**alike[0], "devices": "8 x TPU v5e"}, alike[1])  # of before: no devices
    assert "the machines differ, so the minutes compare nothing" in page.text
    assert "On devices that no record tells of: bignas (seed 0)." in page.text
    assert (tmp_path / "comparison.png").read_bytes() != same
    with (tmp_path / "comparison.csv").open(newline="") as file:
        assert {(row["run"], row["devices"]) for row in csv.DictReader(file)} == {
            ("deps", "8 x TPU v5e"), ("bignas", "")}


def test_few_test_images_are_told(report, tmp_path):
    _, page = report(record("deps", 0, 0.60, 0.70, images=100))
    assert page.rows[1] == ["deps", "0", "60.00 (50.2 to 69.1)", "70.00 (60.4 to 78.1)",
                            "65.00 (55.3 to 73.6)"]
    assert "100 test images cannot tell 60% from 78%" in page.text
    assert "top1_low,top1_high" in (tmp_path / "comparison.csv").read_text()


@pytest.mark.parametrize(("split", "of_test"), [("test", "10000"), ("validation", "")])
def test_images_in_the_file_are_those_of_the_split(report, tmp_path, split, of_test):
    """Trials are measured on validation images, which must not be taken for test images."""
    report(record("deps", 0, 0.6, 0.7), measured_on=split)
    with (tmp_path / "comparison.csv").open(newline="") as file:
        assert {(row["test_images"], row["measured_on"], row["images"])
                for row in csv.DictReader(file)} == {(of_test, split, "10000")}


def test_a_run_that_diverged_is_a_result(report):
    _, page = report(record("deps", 0, 0.6, 0.7, curve=((10, 0.2), (20, 0.4))),
                     record("bignas", 0, diverged="loss is nan <b>at step 7</b>"))
    assert "No result of bignas, seed 0: loss is nan <b>at step 7</b>" in page.text
    assert page.rows[2] == ["bignas", "0", "diverged", "diverged", "diverged"]
    assert "There is no other run with a seed that deps has, too." in page.text


def test_text_of_others_is_no_formula(report, tmp_path):
    report(record("deps", 0, 0.6, 0.7, method="=HYPERLINK(1)"))
    assert ",'=HYPERLINK(1)," in (tmp_path / "comparison.csv").read_text()


def test_nothing_to_report_is_said(report, tmp_path):
    with pytest.raises(ValueError, match="holds no experiment"):
        write_report(tmp_path)
    with pytest.raises(ValueError, match=r"no run in .* has finished with a result yet"):
        report()


def test_only_shared_seeds_are_paired():
    records = [record("deps", 0, 0.6, 0.7), record("deps", 1, 0.7, 0.8),
               record("bignas", 1, 0.65, 0.7), record("bignas", 2, 0.1, 0.1)]
    found = summary.differences(records, "bignas", "deps")
    assert found["d1e1k3"].count == 1
    assert found["d1e1k3"].mean == pytest.approx(-0.05)
