"""What a number of images can tell."""
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deps_jax.evaluation import certainty, report

FEW = report.SubnetResult("d2e2k3", 1_234_567, 45_678, 30, 19 / 30, 1.0, 1.234)
MANY = report.SubnetResult("d3e3k3", 2_234_567, 55_678, 10_000, 0.6333, 0.9, 1.1)


def test_accuracies_of_few_images_are_shown_with_intervals():
    # 19 of 30 by hand: (19 + 1.92 +- 1.96 sqrt(19 * 11 / 30 + 0.96)) / 33.84
    assert certainty.percent(19 / 30, 30) == "63.33% (45.5 to 78.1)"
    assert certainty.percent(0.6333, 10_000) == "63.33%" == certainty.percent(0.6333, 0)
    lines = report.table([FEW, MANY]).splitlines()
    assert "63.33% (45.5 to 78.1)  100.00% (88.6 to 100.0)" in lines[1]
    assert len(set(map(len, lines))) == 1 and "(" not in lines[2]


@given(st.integers(1, certainty.FEW_IMAGES), st.floats(0, 1))
def test_known_is_what_so_many_images_make_it(images, share):
    number = certainty.interval(share, images)
    assert certainty.is_known(share, images) == (number.high - number.low <= 0.1)
    if images >= certainty.needed(0.5):
        assert certainty.is_known(share, images)


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9, 1.0])
def test_so_many_are_needed_and_fewer_do_not_do(share):
    images = -(-certainty.needed(share) // 10) * 10  # so that the share is one of so many
    assert certainty.is_known(share, images) and not certainty.is_known(share, images - 20)


@given(st.floats(0.5, 0.999))
def test_as_many_as_show_a_threshold(threshold):
    images = certainty.least_for(threshold)
    assert certainty.interval(1.0, images).low >= threshold - 1e-12
    assert images == 1 or certainty.interval(1.0, images - 1).low < threshold + 1e-12


def test_what_is_told_of_few_images():
    assert certainty.warning(30, "photos") == (
        "30 photos cannot tell 52% from 83%: that is the 95 % interval of 21 right out of 30; for "
        "+-5 points hold 320 photos out.")
    assert certainty.warning(1000).endswith("700 right out of 1000.")
    assert certainty.warning(5000) == "" == certainty.warning(0)


def test_files_of_results_hold_both_ends_and_are_read_again(tmp_path):
    folder = tmp_path / "evaluation" / "test"
    report.write_results(folder, [FEW, MANY], {"method": "deps", "seed": 0})
    row = json.loads((folder / "subnets.json").read_text())["subnets"][0]
    assert (row["top1_low"], row["top1_high"]) == pytest.approx((0.4551, 0.7813), abs=1e-4)
    assert "top5_low,top5_high" in (folder / "subnets.csv").read_text()
    assert report.read_results(tmp_path, "test")["subnets"] == [FEW, MANY]
