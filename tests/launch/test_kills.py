"""Trainings that are killed at random moments; some kills, of the fifty that the command makes."""
import sys

import numpy as np
import pytest
from launch_here import ROOT, launch_here

from configs import deps_digits
from deps_jax.common.loop import kills
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.training.experiment import Experiment, build_recipe
from deps_jax.training.phases import Plan


@pytest.mark.long
def test_a_killed_run_comes_to_the_same(tmp_path, monkeypatch):
    """Of NurtureNet on numbers alone, which starts in seconds: best weights and second fit, too."""
    for package in ("av", "pycocotools", "pygrowup"):
        pytest.importorskip(package, reason=f"{package} is not installed (extra 'nurture')")
    from make_records import write_records

    data = write_records(tmp_path / "set", infants=8, marks=False)
    monkeypatch.chdir(ROOT)
    code, out, err = launch_here(
        "kill_test", "--command=train_nurture", f"--config={ROOT}/configs/nurture.py:runlocal",
        f"--config.data.dir={data}", "--config.model.use_video=false",
        "--config.data.validation_fraction=0.25", "--config.data.test_fraction=0.125",
        "--config.data.calibration_fraction=0.0",
        "--config.training.epochs=6.0", "--config.cadence.checkpoint_every=1",
        f"--out={tmp_path / 'runs'}", "--kills=3")
    assert code == 0, err
    assert out.startswith("3 kills (2 SIGKILL, 1 SIGTERM): ")
    assert "optimizer state are bit-identical to an undisturbed run's" in out


def test_the_config_for_it_is_small_and_holds_every_part_of_the_method():
    settings = Experiment.from_dict(deps_digits.get_config("tiny").to_dict())
    recipe = build_recipe(settings, settings.space.build(num_classes=10), 100)
    plan = Plan(recipe.space, recipe.optimizer, recipe.total, recipe.steps_per_epoch)
    start, end = recipe.method.ramp_steps(plan)
    assert 0 < start < end < recipe.total == 30
    assert settings.cadence.checkpoint_every == 1 and settings.cadence.evaluate_every > 0


def test_a_difference_of_one_bit_is_seen(tmp_path):
    for name, value in (("one", 1.0), ("other", 1.0000001)):
        Checkpoints(tmp_path / name / "checkpoints").save(
            3, {"params": {"w": np.array([0.5, value], "f4")}, "step": np.int32(3)})
    assert kills._differing(tmp_path / "one", tmp_path / "other") == ("params/w",)
    assert kills._differing(tmp_path / "one", tmp_path / "one") == ()


def test_best_weights_are_compared_too(tmp_path):
    for name, value in (("one", 1.0), ("other", 2.0)):
        for folder, number in (("checkpoints", 0.5), ("best", value)):
            Checkpoints(tmp_path / name / folder).save(3, {"w": np.array([number], "f4")})
    assert kills._differing(tmp_path / "one", tmp_path / "other") == ("best/w",)


def test_a_training_that_fails_is_told(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(ValueError, match=r"ended with exit code 3; its output is in .*disturbed"):
        kills.kill_and_compare(command, tmp_path, 1)
