"""A trained NurtureNet, opened again: measures, masks and keypoints out of clips."""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common import workdir
from deps_jax.common.checkpoint import Checkpoints
from deps_jax.elastic import Mode
from nurture_jax import geometry
from nurture_jax.backbones import from_description
from nurture_jax.clip_augment import ClipAugment, augment
from nurture_jax.clip_batches import MASK_STRIDE
from nurture_jax.experiment import MODEL, Experiment
from nurture_jax.model import NurtureNet
from nurture_jax.standard import Standard
from nurture_jax.train import estimate

_INPUTS = ("frames", "tabular", "tabular_mask")


def predict(model: NurtureNet, variables, preprocess: ClipAugment, batches: Iterable,
            run=None) -> dict[str, np.ndarray]:
    """Measures of clips, with the padding of `eval_batches` left out.

    Args:
      batches: of `clip_batches`; "frames" [b, t, h, w, 3] uint8, "tabular", "tabular_mask".
      run: `estimate` compiled before; None compiles it.

    Returns:
      "mean", "scale" [n, 4] float32 in the units of LABELS (scale: of a Laplace distribution),
      "index" [n] int32, the places in the cache.
    """
    run = run or jax.jit(partial(estimate, model, preprocess=preprocess))
    variables = jax.device_put(variables, jax.local_devices()[0])
    found = {"mean": [], "scale": [], "index": []}
    for batch in batches:
        mean, scale = run(variables, batch={name: batch[name] for name in _INPUTS})
        real = np.asarray(batch["example_mask"]) > 0
        for name, values in (("mean", mean), ("scale", scale), ("index", batch["index"])):
            found[name].append(np.asarray(values)[real])
    if not found["mean"]:
        raise ValueError("there is no batch to predict; give at least one")
    return {name: np.concatenate(values) for name, values in found.items()}


def look(model: NurtureNet, variables, preprocess: ClipAugment, frames) -> dict[str, jax.Array]:
    """What the proxy heads see in one clip [t, h, w, 3] uint8; pure.

    Returns:
      With the heads the model has: "mask" [t, h / 4, w / 4] int32 (0 neither, 1 newborn,
      2 reference object), "shares" [t, h / 4, w / 4, 3] of them, "keypoints" [t, 19, 3]: x, y in
      clip pixels and the height of the peak (about 1 where the point is seen).
    """
    frames = augment(jax.random.key(0), {"frames": frames[None]}, preprocess)["frames"]
    nothing = jnp.zeros((1, 4))
    outputs, found = model.apply(variables, frames, nothing, nothing, Mode(False)), {}
    if "segmentation" in outputs:
        logits = outputs["segmentation"][0]
        found |= {"mask": logits.argmax(-1), "shares": jax.nn.softmax(logits)}
    if "heatmaps" in outputs:
        heatmaps = outputs["heatmaps"][0]  # t h w 19
        found["keypoints"] = jnp.concatenate(
            [MASK_STRIDE * geometry.peaks(heatmaps), heatmaps.max((1, 2))[..., None]], -1)
    return found


@dataclasses.dataclass(frozen=True)
class TrainedNurture:
    """The best weights of a run and what they need.

    Attributes:
      validation: mean absolute errors there, by "mae_LABEL".
      step: after which the weights were kept.
    """

    folder: Path
    experiment: Experiment
    model: NurtureNet
    variables: dict
    validation: dict[str, float]
    step: int

    @classmethod
    def open(cls, folder: str | Path) -> TrainedNurture:
        """Reads config, constants and best weights; neither videos nor a backbone's own run.

        Raises:
          ValueError: when there is no run or nothing was kept yet.
        """
        folder = Path(folder)
        experiment = Experiment.from_dict(workdir.load(folder))
        if not (folder / MODEL).is_file():
            raise ValueError(f"{folder} has no {MODEL}; give the --workdir of launch.train_nurture")
        content = json.loads((folder / MODEL).read_text())
        model = NurtureNet(experiment.model, Standard.from_dict(content["standard"]),
                           from_description(content["backbone"]))
        data = experiment.data
        inputs = (jnp.zeros((1, data.frames, data.size, data.size, 3)), jnp.zeros((1, 4)),
                  jnp.zeros((1, 4)), Mode(False))
        shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), *inputs))
        checkpoints = Checkpoints(folder / "best")
        variables = checkpoints.restore_state({"batch_stats": {}, **shapes})
        return cls(folder, experiment, model, variables, checkpoints.record(),
                   checkpoints.latest_step())

    @property
    def preprocess(self) -> ClipAugment:
        """Normalising, and nothing else."""
        return ClipAugment(mean=self.experiment.augment.mean, std=self.experiment.augment.std)

    @cached_property
    def _run(self):
        return jax.jit(partial(estimate, self.model, preprocess=self.preprocess))

    @cached_property
    def _look(self):
        return jax.jit(partial(look, self.model, preprocess=self.preprocess))

    def predict(self, batches: Iterable) -> dict[str, np.ndarray]:
        """See `predict`; compiled once for batches of one size."""
        return predict(self.model, self.variables, self.preprocess, batches, self._run)

    def look(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """See `look`."""
        return jax.device_get(self._look(self.variables, frames=frames))
