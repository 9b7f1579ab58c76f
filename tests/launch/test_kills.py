"""Trainings that are killed at random moments; some kills, of the fifty that the command makes."""
import sys

import numpy as np
import pytest
from launch_here import launch_here
from test_launch import ROOT

from deps_jax.common import kills
from deps_jax.common.checkpoint import Checkpoints

CONFIG = f"--config={ROOT}/configs/deps_digits.py:tiny"


@pytest.mark.long
def test_a_killed_run_comes_to_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    code, out, err = launch_here("kill_test", CONFIG, f"--out={tmp_path}", "--kills=4")
    assert code == 0, err
    assert out.startswith("4 kills (2 SIGKILL, 2 SIGTERM), ")
    assert "optimizer state are bit-identical to an undisturbed run's" in out


def test_a_difference_of_one_bit_is_seen(tmp_path):
    for name, value in (("one", 1.0), ("other", 1.0000001)):
        Checkpoints(tmp_path / name / "checkpoints").save(
            3, {"params": {"w": np.array([0.5, value], "f4")}, "step": np.int32(3)})
    assert kills._differing(tmp_path / "one", tmp_path / "other") == ("params/w",)
    assert kills._differing(tmp_path / "one", tmp_path / "one") == ()


def test_a_training_that_fails_is_told(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(ValueError, match=r"ended with exit code 3; its output is in .*disturbed"):
        kills.kill_and_compare(command, tmp_path, 1)
