"""What makes the hash of a model, which intervals belong to."""
import dataclasses
import hashlib

import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")

from configs import nurture
from nurture_jax.runs.inference import hashed
from nurture_jax.training.experiment import Experiment

NAMES = "9c1f8bf93f176b79"  # of the settings of the demo that were hashed as of 2026-11-27
# And what there was not.
SINCE = {"model": {"in_space": False, "head_stride": 4, "fusion_members": 1},
         "losses": {"ends": 1.0},
         "refit": {"noise": 0.0, "held_out_scales": False},
         "augment": {"saturation": 0.0, "hue": 0.0}}


@pytest.fixture(scope="module")
def demo():
    config = nurture.get_config("demo")
    config.data.dir = "anywhere"
    return Experiment.from_dict(config.to_dict())


def test_a_setting_of_a_later_version_takes_no_intervals_from_runs_of_before(demo):
    former = dataclasses.replace(demo, **{
        part: dataclasses.replace(getattr(demo, part), **fields) for part, fields in SINCE.items()})
    names = hashlib.sha256(",".join(sorted(hashed(former))).encode()).hexdigest()
    assert names[:16] == NAMES, "say in inference._BEFORE what runs without the new setting did"


@pytest.mark.parametrize(("section", "field", "value", "is_hashed"), [
    ("training", "batch_norm", "per_device", True), ("model", "neck_convs", "separable", True),
    ("augment", "forget", 0.0, True), ("augment", "hue", 0.1, True),
    ("model", "head_stride", 4, True),
    ("data", "dir", "elsewhere", False), ("gate", "least_sharpness", 0.1, False),
    ("teacher", "weight", 0.5, False), ("cadence", "log_every", 3, False)])
def test_what_makes_no_estimate_is_not_hashed(demo, section, field, value, is_hashed):
    part = dataclasses.replace(getattr(demo, section), **{field: value})
    other = dataclasses.replace(demo, **{section: part})
    assert other != demo
    assert (hashed(other) != hashed(demo)) == is_hashed
