"""Intervals belong to a model and a gate: saved, read back, refused for others."""
import dataclasses
import json
import math

import pytest
from make_estimates import make_estimates, make_visits  # skips where the extra 'nurture' is missing

from deps_jax.common.files import sealed
from nurture_jax.clinic.checks import Limits
from nurture_jax.clinic.familiarity import Familiarity
from nurture_jax.clinic.scale import Scale
from nurture_jax.evaluation.intervals import calibrate
from nurture_jax.runs import calibration
from nurture_jax.runs.calibration import Calibration

MODEL = "0123456789ab" + 52 * "0"
AGAIN = "evaluate the run again"


@pytest.fixture(scope="module")
def found():
    return Calibration(calibrate(make_estimates(make_visits(40, 2))), MODEL,
                       Limits(least_sharpness=0.004))


def test_saved_and_read_back(found, tmp_path):
    calibration.save(found, tmp_path)
    assert calibration.load(tmp_path) == found
    found.check(MODEL, tmp_path)


def test_lengths_of_reference_objects_are_kept_and_older_files_have_none(found, tmp_path):
    scale = Scale((15.0, 30.0), ((0.1, 0.2), (0.3, 0.4)), (0.5, 0.6), 0.2)
    calibration.save(dataclasses.replace(found, scale=scale), tmp_path)
    assert calibration.load(tmp_path).scale_of((1.0,)) == scale
    content = dataclasses.asdict(found)
    del content["scale"]
    sealed.write(tmp_path / calibration.FILE, content)
    assert calibration.load(tmp_path) == found
    assert found.scale_of((30.0,)) == Scale((30.0,))


def test_limits_that_were_calibrated_are_told_to_people(found):
    nothing = {"limit of unfamiliarity": "not compared", "limit of the told length": "not compared"}
    assert found.calibrated_limits == nothing
    assert dataclasses.replace(found, scale=Scale((30.0,))).calibrated_limits == nothing
    whole = dataclasses.replace(found, familiarity=Familiarity({}, 2.8134), scale=Scale(
        (15.0, 30.0), ((0.1, 0.2), (0.3, 0.4)), (0.5, 0.6), math.log(1.1876)))
    assert whole.calibrated_limits == {"limit of unfamiliarity": "2.81",
                                       "limit of the told length": "a factor of 1.19"}


def test_of_other_weights_it_is_refused(found, tmp_path):
    with pytest.raises(ValueError, match=r"was calibrated for other weights .*012345678.*ffff.*; "
                       + AGAIN):
        found.check(64 * "f", tmp_path)


def test_what_is_missing_damaged_or_of_an_older_version(found, tmp_path):
    path = tmp_path / calibration.FILE
    with pytest.raises(ValueError, match=f"does not exist; {AGAIN}"):
        calibration.load(tmp_path)
    calibration.save(found, tmp_path)
    text = path.read_text()
    factor = next(line for line in text.splitlines() if '"all": 1.' in line
                  or '"all": 2.' in line)
    for damaged in (text[:len(text) // 2], "", "[]",
                    text.replace(factor, factor.replace(": 1.", ": 4.").replace(": 2.", ": 4."))):
        assert damaged != text
        path.write_text(damaged)
        with pytest.raises(ValueError, match=rf"intervals\.json is (damaged|not JSON).*{AGAIN}"):
            calibration.load(tmp_path)
    old = {"coverage": 0.9, "infants_per_band": 30, "infants": {}, "factors": {}}
    path.write_text(json.dumps(old))
    with pytest.raises(ValueError, match="does not say which familiarity, intervals, limits, mo"):
        calibration.load(tmp_path)
    path.write_text(json.dumps({"intervals": old, "model_sha256": MODEL, "limits": {},
                                "familiarity": None}))
    with pytest.raises(ValueError, match=f"is of another version of this program; {AGAIN}"):
        calibration.load(tmp_path)
