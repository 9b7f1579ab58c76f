"""Tiny random batches as `clip_batches` makes them, and a network with every part, as small."""
from __future__ import annotations

import math

import flax.linen as nn
import numpy as np

from nurture_jax.clips.clip_augment import ClipAugment
from nurture_jax.measures import LABELS
from nurture_jax.network.backbones import ConvNorm
from nurture_jax.network.model import ModelSettings, NurtureNet
from nurture_jax.network.scaling import Scaling

SIZE, FRAMES = 32, 2
SCALING = Scaling(labels=LABELS,
                  label_mean=tuple(map(math.log, (3000.0, 49.0, 34.0, 32.0, 10.5))),
                  label_std=(0.2, 0.06, 0.05, 0.06, 0.08),
                  tabular_mean=(math.log(2900.0), 12.0, 270.0, 0.5),
                  tabular_std=(0.2, 10.0, 14.0, 0.5), gain_mean=0.05, gain_std=0.1)
TINY_MODEL = dict(neck_width=8, tabular_width=4, hidden_width=16, dropout_rate=0.0)
PLAIN = ClipAugment(mean=(0.5,) * 3, std=(0.25,) * 3)
CHANGED = ClipAugment(flip=True, zoom=(0.85, 1.2), shift=0.08, brightness=0.15, contrast=0.2,
                      colour=0.1)


class TwoMaps(nn.Module):
    """The least that is a backbone: compiled in seconds."""

    @nn.compact
    def __call__(self, images, mode):
        fine = ConvNorm(8, 3, 4, activation="relu", name="fine")(images, mode)
        return {4: fine, 8: ConvNorm(12, 3, 2, activation="relu", name="coarse")(fine, mode)}


def net(**fields) -> NurtureNet:
    return NurtureNet(ModelSettings(**{**TINY_MODEL, **fields}), SCALING, TwoMaps())


def batch(seed: int = 0, size: int = 4, known: float = 1.0) -> dict[str, np.ndarray]:
    """`known`: share of labels, inputs and annotated frames that are there."""
    rng = np.random.default_rng(seed)
    mask = lambda *shape: (rng.random(shape) < known).astype(np.float32)
    cells, frames = SIZE // 4, (size, FRAMES)
    of_arms = np.random.default_rng((seed, 1))
    with_arms = lambda draw: np.concatenate([draw(rng, (size, 4)), draw(of_arms, (size, 1))], 1)
    deviations = with_arms(lambda rng, shape: rng.normal(size=shape))
    tabular = np.array(SCALING.tabular_mean) + rng.normal(size=(size, 4)) * SCALING.tabular_std
    tabular[:, 0] = np.exp(tabular[:, 0])
    points = np.concatenate([rng.uniform(0, SIZE, (*frames, 19, 2)),
                             rng.integers(0, 3, (*frames, 19, 1))], -1)
    found = {
        "frames": rng.integers(0, 256, (*frames, SIZE, SIZE, 3)).astype(np.uint8),
        "tabular": tabular.astype(np.float32), "tabular_mask": mask(size, 4),
        "reference_cm": np.full(size, 30, np.float32),
        "labels": np.exp(SCALING.label_mean + deviations * SCALING.label_std).astype(np.float32),
        "labels_mask": with_arms(lambda rng, shape: rng.random(shape) < known).astype(np.float32),
        "masks": rng.integers(0, 3, (*frames, cells, cells)).astype(np.uint8),
        "keypoints": points.astype(np.float32), "annotated": mask(*frames),
        "example_mask": np.ones(size, np.float32), "index": np.arange(size, dtype=np.int32)}
    for name in ("tabular", "labels"):
        found[name] *= found[f"{name}_mask"]
    return found
