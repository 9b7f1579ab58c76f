"""Speed of the way from a video to an estimate: decoding, reading, one prediction, and of training.

The training step is timed alone, with its batch at hand. How long it waits for its clips is not
guessed here: every run writes it (`data_wait_fraction` in metrics.jsonl).
"""
from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from deps_jax.common.loop.parallel import check_batch_size
from nurture_jax.clinic.checks import Limits
from nurture_jax.clips import clip_cache
from nurture_jax.clips.clip_batches import MASK_STRIDE, ClipBatches, ClipSource
from nurture_jax.evaluation.groups import GIVEN, WITHHELD
from nurture_jax.evaluation.intervals import ALL, Intervals
from nurture_jax.measures import KEYPOINTS, LABELS
from nurture_jax.network.model import NurtureNet, zero_inputs
from nurture_jax.network.scaling import Scaling
from nurture_jax.records.video import sample_clip
from nurture_jax.records.visit import Visit, tabular_of
from nurture_jax.records.visits import Records
from nurture_jax.runs.calibration import Calibration
from nurture_jax.runs.inference import TrainedNurture
from nurture_jax.runs.predict import Predictor
from nurture_jax.synthetic.video import write_video
from nurture_jax.training.experiment import Experiment, build_recipe, starting_backbone
from nurture_jax.training.train import Recipe, Trainer, init_state

FPS, SECONDS, WIDTH, HEIGHT = 30, 10, 1920, 1080  # of the video that is timed
# Of infants of about 3 kg: what is timed does not depend on it.
SCALING = Scaling((8.0, 3.9, 3.5, 3.5, 2.3), (0.2,) * 5, (8.0, 15.0, 270.0, 0.5), (1.0,) * 4, 0.1,
                  0.1, LABELS)


def film(path: Path) -> None:
    """Writes ten seconds of full HD that an encoder has work with: a noisy picture on the move."""
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8 + 40, WIDTH // 8 + 40, 3))
    large = noise.astype(np.uint8).repeat(8, 0).repeat(8, 1)
    frames = FPS * SECONDS
    write_video(path, (large[i:i + HEIGHT, i:i + WIDTH] for i in range(frames)),
                np.arange(frames) / FPS, SECONDS, rotation=90)


def time_video(folder: Path, config: dict, rounds: int = 3) -> dict[str, float]:
    """Seconds for one video, with a network of the config's size and random weights.

    Args:
      folder: Folder that the video is written to.
      config: Config of a training.
      rounds: How often each is done; the fastest counts.

    Returns:
      "decode_s" from the file to the clip; "predict_s" from the file to measures, gate and
      picture, after start-up; "start_s" of that start-up: opening and compiling.
    """
    video = folder / "film.mp4"
    film(video)
    start = time.perf_counter()
    trained = untrained(Experiment.from_dict(config), folder)
    predictor = Predictor(trained, Calibration(_any_intervals(), trained.sha256, Limits()))
    started = time.perf_counter() - start
    data = trained.experiment.data
    decode = lambda: sample_clip(video, data.frames, data.size, fit=data.fit)
    predict = lambda: predictor(video, age_days=7.0, birth_weight_g=3000.0, sex="F")
    return {"decode_s": _fastest(decode, rounds), "predict_s": _fastest(predict, rounds),
            "start_s": started}


def time_reading(folder: Path, config: dict, visits: int = 32) -> float:
    """Clips a second out of a cache, as the training loop takes them.

    Args:
      folder: Folder in which `time_video` has left its video.
      config: Config of a training.
      visits: Number of clips in the cache.
    """
    data = Experiment.from_dict(config).data
    video = folder / "film.mp4"
    names = [f"{i}.mp4" for i in range(visits)]
    for name in names:
        (folder / name).hardlink_to(video)
    records = Records(folder, tuple(Visit(str(i), "1", name) for i, name in enumerate(names)))
    cache = clip_cache.build(records, folder / "cache", data.clip, workers=2)
    batch_size = 8
    batches = ClipBatches(ClipSource(cache), batch_size, seed=0)
    next(batches)  # starts the threads
    taken = 10
    start = time.perf_counter()
    for _ in range(taken):
        next(batches)
    return taken * batch_size / (time.perf_counter() - start)


def time_training(config: dict, batch_size: int, rounds: int = 3) -> float:
    """Clips a second of the compiled training step, the whole batch of noise at hand.

    Args:
      config: Config of a training.
      batch_size: Clips of a step, on all devices together.
      rounds: Number of steps; the fastest counts.

    Raises:
      ValueError: If the devices cannot share so many clips.
    """
    check_batch_size(batch_size)
    experiment = Experiment.from_dict(config)
    recipe = _recipe(experiment, batch_size)
    data, key = experiment.data, jax.random.key(0)
    state = jax.jit(lambda: init_state(key, recipe, (data.frames, data.size, data.size)))()
    trainer = Trainer(recipe, key)
    batch = noise(batch_size, data.frames, data.size, experiment.model.head_stride)
    state, _ = jax.block_until_ready(trainer(0, state, batch))  # compiles
    best = math.inf
    for step in range(1, rounds + 1):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(trainer(step, state, batch))
        best = min(best, time.perf_counter() - start)
    return batch_size / best


def traced_step(config: dict, dtype: str, device_count: int, batch_size: int = 2
                ) -> jax.stages.Traced:
    """The training step as a run has it, neither compiled nor run.

    Args:
      config: Config of a training.
      dtype: Type of the convolutions, in place of the config's.
      device_count: Number of devices that share the batch.
      batch_size: Clips of a step, on all devices together.
    """
    experiment = Experiment.from_dict({**config, "model": {**config["model"], "dtype": dtype}})
    recipe, data, key = _recipe(experiment, batch_size), experiment.data, jax.random.key(0)
    state = jax.eval_shape(lambda: init_state(key, recipe, (data.frames, data.size, data.size)))
    trainer = Trainer(recipe, key, devices=jax.local_devices()[:device_count])
    example = {name: value[0] for name, value in noise(
        1, data.frames, data.size, experiment.model.head_stride).items()}
    return trainer.trace(state, example, batch_size)


def _recipe(experiment: Experiment, batch_size: int) -> Recipe:
    training = dataclasses.replace(experiment.training, batch_size=batch_size)
    steps_an_epoch = 100  # any number: it only says where in the schedule a step is
    return build_recipe(dataclasses.replace(experiment, training=training), SCALING,
                        starting_backbone(experiment).module, steps_an_epoch * batch_size)


def noise(batch_size: int, frames: int, size: int, mask_stride: int = MASK_STRIDE
          ) -> dict[str, np.ndarray]:
    """A batch as of `clip_batches`, every frame annotated, with nothing to see in it."""
    random, cells = np.random.default_rng(0), size // mask_stride
    clip = lambda *shape: (batch_size, frames, *shape)
    visit = Visit("", "", "", age_days=7.0, birth_weight_g=3000.0, sex="F", weight_g=3000.0,
                  gestational_age_days=280.0, length_cm=50.0, head_cm=34.0, chest_cm=33.0,
                  arm_cm=10.5)
    places = random.uniform(0, size, clip(len(KEYPOINTS), 2))
    return {"frames": random.integers(0, 256, clip(size, size, 3), np.uint8),
            **{name: np.stack([value] * batch_size) for name, value in tabular_of(visit).items()},
            "masks": random.integers(0, 3, clip(cells, cells), np.uint8),
            "keypoints": np.concatenate([places, np.full(clip(len(KEYPOINTS), 1), 2)],
                                        -1).astype(np.float32),
            "annotated": np.ones(clip(), np.float32)}


def untrained(experiment: Experiment, folder: Path) -> TrainedNurture:
    """A network of the right size that has learnt nothing."""
    model = NurtureNet(experiment.model, SCALING, starting_backbone(experiment).module)
    data = experiment.data
    inputs = zero_inputs(data.frames, data.size, data.size)
    variables = jax.jit(lambda key: model.init(key, *inputs))(jax.random.key(0))
    return TrainedNurture(folder, experiment, model, {"batch_stats": {}, **variables}, {}, 0)


def _any_intervals() -> Intervals:
    """Intervals that nothing was calibrated on."""
    inputs = (GIVEN, WITHHELD)
    return Intervals(0.9, {name: dict.fromkeys(LABELS, 0) for name in inputs},
                     {name: {measure: {ALL: 2.0} for measure in LABELS} for name in inputs}, {}, {})


def _fastest(function: Callable, rounds: int) -> float:
    """Seconds of the fastest call."""
    best = math.inf
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best
