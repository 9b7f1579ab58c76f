"""Speed of the way from a video to an estimate: decoding, reading, one prediction.

How long a training step waits for its clips is not guessed here: every run writes it
(`data_wait_fraction` in metrics.jsonl).
"""
from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.elastic import Mode
from nurture_jax import clip_cache
from nurture_jax.clip_batches import LABELS, ClipBatches, ClipSource
from nurture_jax.experiment import Experiment, starting_backbone
from nurture_jax.inference import TrainedNurture
from nurture_jax.intervals import AGE_BANDS, ALL_AGES, Intervals
from nurture_jax.model import NurtureNet
from nurture_jax.predict import Predictor
from nurture_jax.records import Records, Visit
from nurture_jax.standard import Standard
from nurture_jax.synthetic_video import write_video
from nurture_jax.video import sample_clip

FPS, SECONDS, WIDTH, HEIGHT = 30, 10, 1920, 1080  # of the video that is timed


def film(path: Path) -> None:
    """Ten seconds of full HD that an encoder has work with: a noisy picture on the move."""
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8 + 40, WIDTH // 8 + 40, 3))
    large = noise.astype(np.uint8).repeat(8, 0).repeat(8, 1)
    frames = FPS * SECONDS
    write_video(path, (large[i:i + HEIGHT, i:i + WIDTH] for i in range(frames)),
                np.arange(frames) / FPS, SECONDS, rotation=90)


def time_video(folder: Path, config: dict, rounds: int = 3) -> dict[str, float]:
    """Seconds for one video, with a network of the config's size and random weights.

    Returns:
      "decode_s" to the clip; "predict_s" from the file to measures, gate and picture, after
      start-up; "start_s" of that start-up: opening and compiling.
    """
    video = folder / "film.mp4"
    film(video)
    start = time.perf_counter()
    trained = untrained(Experiment.from_dict(config), folder)
    predictor = Predictor(trained, _any_intervals())
    started = time.perf_counter() - start
    data = trained.experiment.data
    decode = lambda: sample_clip(video, data.frames, data.size, fit=data.fit)
    predict = lambda: predictor(video, age_days=7.0, birth_weight_g=3000.0, sex="F")
    return {"decode_s": _fastest(decode, rounds), "predict_s": _fastest(predict, rounds),
            "start_s": started}


def time_reading(folder: Path, config: dict, visits: int = 32) -> float:
    """Clips a second out of a cache, as the training loop takes them."""
    data = Experiment.from_dict(config).data
    video = folder / "film.mp4"
    names = [f"{i}.mp4" for i in range(visits)]
    for name in names:
        (folder / name).hardlink_to(video)
    records = Records(folder, tuple(Visit(str(i), "1", name, weight_g=3000.0)
                                    for i, name in enumerate(names)))
    cache = clip_cache.build(records, folder / "cache", data.clip, workers=2)
    batch_size = 8
    batches = ClipBatches(ClipSource(cache), batch_size, seed=0)
    next(batches)  # starts the threads
    taken = 10
    start = time.perf_counter()
    for _ in range(taken):
        next(batches)
    return taken * batch_size / (time.perf_counter() - start)


def untrained(experiment: Experiment, folder: Path) -> TrainedNurture:
    """A network of the right size that has learnt nothing."""
    standard = Standard((8.0, 3.9, 3.5, 3.5), (0.2,) * 4, (8.0, 15.0, 270.0, 0.5), (1.0,) * 4, 0.1,
                        0.1)
    model = NurtureNet(experiment.model, standard, starting_backbone(experiment).module)
    data = experiment.data
    inputs = (jnp.zeros((1, data.frames, data.size, data.size, 3)), jnp.zeros((1, 4)),
              jnp.zeros((1, 4)), Mode(False))
    variables = jax.jit(lambda key: model.init(key, *inputs))(jax.random.key(0))
    return TrainedNurture(folder, experiment, model, {"batch_stats": {}, **variables}, {}, 0)


def _any_intervals() -> Intervals:
    bands = (ALL_AGES, *AGE_BANDS)
    return Intervals(0.9, 30, {band: dict.fromkeys(LABELS, 0) for band in bands},
                     {band: dict.fromkeys(LABELS, 2.0) for band in bands})


def _fastest(function: Callable, rounds: int) -> float:
    best = math.inf
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best
