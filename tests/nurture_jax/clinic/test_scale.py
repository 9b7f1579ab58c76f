"""Lengths told of reference objects: right ones pass, wrong and unknown ones are refused."""
import dataclasses
import json
import math

import numpy as np
import pytest

from nurture_jax.clinic.checks import Limits, failing, failures
from nurture_jax.clinic.recording_gate import inspect
from nurture_jax.clinic.scale import ALIKE, FEWEST, SPANS, Scale, fit, measure, told_cm
from nurture_jax.measures import KEYPOINTS
from nurture_jax.records.visit import Visit

LENGTHS = (15.0, 20.0, 30.0, 60.0)


def recordings(count, seed, lengths=LENGTHS, noise=0.08):
    """Newborns whose spans grow with the cube root of their weight, beside rulers 3 cm wide."""
    rng, found = np.random.default_rng(seed), []
    share = np.random.default_rng(9).uniform(0.1, 0.4, len(SPANS))
    for i in range(count):
        weight = 3000 * math.exp(0.2 * rng.normal())
        length = lengths[i % len(lengths)]
        body = np.log(share * 50 * (weight / 3000) ** (1 / 3)) + noise * rng.normal(size=len(SPANS))
        own = math.log(3 / length) + 0.2 * rng.normal()
        visit = Visit(f"n{i}", "1", "", age_days=float(rng.integers(0, 40)),
                      birth_weight_g=weight if rng.random() < 0.8 else None, reference_cm=length)
        found.append((np.append(body - math.log(length), own), visit))
    return found


@pytest.fixture(scope="module")
def scale():
    return fit(recordings(300, 0), recordings(80, 1), 0.98)


def test_a_length_is_read_off_the_newborn(scale):
    for row, visit in recordings(40, 2):
        for told in LENGTHS:
            looks = scale.looks_cm(row, dataclasses.replace(visit, reference_cm=told))
            assert abs(math.log(looks / visit.reference_cm)) < 0.3
    assert scale.lengths_cm == LENGTHS and 0.02 < scale.limit < 0.2


def test_every_wrong_pair_is_refused_and_right_ones_are_not(scale):
    refused = {}
    for row, visit in recordings(200, 3):
        for told in LENGTHS:
            looks = scale.looks_cm(row, dataclasses.replace(visit, reference_cm=told))
            measured = {"duration_s": 3, "brightness": 100, "sharpness": 1, "reference_cm": told,
                        "reference_looks_cm": looks}
            names = failing(measured, Limits(), None, scale)
            assert names <= {"reference_wrongly_told"}
            refused.setdefault((visit.reference_cm, told), []).append(bool(names))
    for (true, told), found in refused.items():
        assert np.mean(found) <= 0.1 if true == told else np.mean(found) > 0.9


def test_the_sentence_names_both_lengths(scale):
    measured = {"duration_s": 3, "brightness": 100, "sharpness": 1, "reference_cm": 60.0,
                "reference_looks_cm": 31.2}
    (failure,) = failures(measured, Limits(), "crop", None, scale)
    assert "does not look as long as was told (31.2 cm by the baby beside it, at least 5" in str(
        failure)


@pytest.mark.parametrize("told, refused", [(15, 1), (26, 1), (27, 0), (30, 0), (34, 0), (35, 1)])
def test_a_length_that_training_had_not_is_refused_by_name(told, refused):
    found = failures({"duration_s": 3, "brightness": 100, "sharpness": 1, "reference_cm": told},
                     Limits(), "crop", None, Scale())
    assert [failure.check for failure in found] == ["reference_length_new"] * refused


def test_one_length_alone_is_enough_to_refuse_others():
    scale = fit(recordings(200, 4, (30.0,)), recordings(60, 5, (30.0,)), 0.98)
    for row, visit in recordings(40, 6):  # other rulers, told to be 30
        looks = scale.looks_cm(row, dataclasses.replace(visit, reference_cm=None))
        wrong = abs(math.log(looks / 30)) > scale.limit
        assert wrong or visit.reference_cm == 30


def test_however_precise_the_lengths_are_a_tenth_is_not_taken_for_wrong():
    """No ruler that lies about is a tenth longer; refusing it would refuse good recordings."""
    precise = fit(recordings(300, 0, noise=0.02), recordings(80, 1, noise=0.02), 0.95)
    coarse = fit(recordings(300, 0, noise=0.4), recordings(80, 1, noise=0.4), 0.95)
    assert precise.limit == math.log(ALIKE) < coarse.limit
    row, visit = recordings(1, 2, (30.0,), noise=0.02)[0]
    for told, wrong in ((30, False), (33, False), (36, True), (24, True)):
        looks = precise.looks_cm(row, dataclasses.replace(visit, reference_cm=told))
        assert (abs(math.log(looks / told)) > precise.limit) == wrong, (told, looks)


def test_too_few_recordings_and_files():
    few = fit(recordings(FEWEST - 1, 0), recordings(5, 1), 0.98)
    assert few == Scale(LENGTHS) and few.looks_cm(*recordings(1, 2)[0]) is None
    scale = fit(recordings(60, 0), recordings(20, 1), 0.98)
    plain = json.loads(json.dumps(dataclasses.asdict(scale)))
    plain = {**plain, "expected": tuple(map(tuple, plain["expected"])),
             "weights": tuple(plain["weights"]), "lengths_cm": tuple(plain["lengths_cm"])}
    assert Scale(**plain) == scale
    with pytest.raises(ValueError, match="evaluate the run again"):
        Scale(weights=(1.0,))


def test_measured_by_hand():
    """A trunk of 30 px beside a ruler of 60 px and 5 px width; unclear frames count not."""
    points = np.ones((3, len(KEYPOINTS), 3))
    place = {"left_shoulder": (30, 20), "right_shoulder": (20, 20), "left_hip": (30, 50),
             "right_hip": (20, 50), "reference_start": (50, 10), "reference_end": (50, 70)}
    for name, (x, y) in place.items():
        points[:, KEYPOINTS.index(name), :2] = x, y
    points[2, -1] = (50, 20, 0.1)
    shares = np.zeros((3, 24, 24, 3))
    shares[..., 0] = 1
    shares[:, 5:20, 12] = [0, 0, 1]  # 15 cells of 4 px, so 240 px2
    row = measure(points, shares, 96)
    assert row[0] == pytest.approx(math.log(31 / 61))
    assert row[-1] == pytest.approx(math.log(241 / 61**2))
    assert len(measure(points, None, 96)) == len(SPANS)
    points[..., 2] = 0
    assert np.isnan(measure(points, shares, 96)).all()
    assert told_cm(Visit("", "", "")) == 30


def test_the_gate_measures_what_it_was_told(scale):
    frames = np.random.default_rng(0).integers(60, 200, (2, 32, 32, 3)).astype(np.uint8)
    points = np.concatenate([np.random.default_rng(1).uniform(0, 32, (2, 19, 2)),
                             np.ones((2, 19, 1))], -1)
    shares = np.full((2, 8, 8, 3), 1 / 3)
    visit = Visit("", "", "", reference_cm=15.0)
    gate = inspect(frames, 3.0, shares, points, scale=scale, visit=visit)
    assert gate.measured["reference_cm"] == 15 and gate.measured["reference_looks_cm"] > 0
    assert "reference_wrongly_told" not in gate.not_done
    silent = inspect(frames, 3.0, shares, points, scale=scale)
    assert "reference_cm" not in silent.measured
    older = inspect(frames, 3.0, shares, points, visit=visit)  # of a run that has no scale
    assert "reference_wrongly_told" in older.not_done
    assert "reference_length_new" in {failure.check for failure in older.failures}
