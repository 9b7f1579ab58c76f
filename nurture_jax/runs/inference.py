"""A trained NurtureNet, opened again: measures, masks and keypoints out of clips."""
from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.files import workdir
from deps_jax.common.files.workdir import flatten
from deps_jax.space.search_space import AXES
from nurture_jax.clips.clip_augment import ClipAugment
from nurture_jax.network import geometry
from nurture_jax.network.backbones import describe
from nurture_jax.network.model import NurtureNet, forward
from nurture_jax.records.video import ClipSettings
from nurture_jax.training.best import read_weights
from nurture_jax.training.experiment import GATE, MAY_DIFFER, TEACHER, Experiment
from nurture_jax.training.model_file import read_model

_INPUTS = ("frames", "tabular", "tabular_mask", "reference_cm")
# Settings that came later, as they were before there were any: runs from then keep their hash.
_BEFORE = {"model.thickness": False, "model.in_space": False, "model.focal": 2.7,
           "model.neck_convs": "dense", "model.head_stride": 4, "model.fusion_members": 1,
           "losses.ends": 1.0,
           "augment.forget": 0.0, "augment.forget_all": 0.0,
           "augment.saturation": 0.0, "augment.hue": 0.0,
           "refit.noise": 0.0, "refit.held_out_scales": False,
           "training.batch_norm": "synchronised",
           **{f"backbone.{axis}": None for axis in AXES}}


def observe(model: NurtureNet, variables: Mapping, preprocess: ClipAugment,
            batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    """All that the network says of raw clips, in one pass; pure.

    Args:
      model: The network.
      variables: Its weights and statistics, "params" and "batch_stats".
      preprocess: Mean and standard deviation that colours are normalised with.
      batch: "frames" [b, t, h, w, 3] uint8, "tabular", "tabular_mask" and "reference_cm" of
        `clip_batches`.

    Returns:
      "mean", "scale" [b, 5] in the units of LABELS, the scale that of a Laplace distribution; with
      the heads the model has, "shares" [b, t, h', w', 3] of nothing, newborn and reference
      object, and "keypoints" [b, t, 19, 3]: x, y in clip pixels and the height of the peak (about
      1 where the point is seen); with video, "features" [b, f] of `model.Seen`.
    """
    outputs = forward(model, variables, preprocess, batch, heads=True)
    mean, scale = model.scaling.measures(outputs.mean, outputs.log_scale)
    found = {"mean": mean, "scale": scale}
    if outputs.features is not None:
        found["features"] = outputs.features
    if outputs.segmentation is not None:
        found["shares"] = jax.nn.softmax(outputs.segmentation)
    if outputs.heatmaps is not None:
        heatmaps = outputs.heatmaps  # b t h w 19
        found["keypoints"] = jnp.concatenate(
            [model.settings.head_stride * geometry.peaks(heatmaps),
             heatmaps.max((2, 3))[..., None]], -1)
    return found


def hashed(experiment: Experiment) -> dict[str, object]:
    """Settings by their names that are in the hash of a model.

    Paths and cadences, which a continued run may change, are not, nor are the gate, the teacher,
    and settings of a later version that are as if there were none.
    """
    settings = flatten(dataclasses.asdict(experiment))
    return {name: value for name, value in settings.items()
            if (name, value) not in _BEFORE.items()
            and not name.startswith((*MAY_DIFFER, GATE, TEACHER))}


@dataclasses.dataclass(frozen=True)
class TrainedNurture:
    """The best weights of a run and what they need.

    Attributes:
      folder: Folder of the run.
      experiment: Its settings.
      model: The network.
      variables: Weights and statistics of the network, "params" and "batch_stats".
      validation: Mean absolute errors on the validation split, by "mae_LABEL".
      step: Step after which the weights were kept.
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
          ValueError: If there is no run, or nothing was kept yet.
        """
        folder = Path(folder)
        experiment = workdir.understood(folder, Experiment.from_dict)
        model = NurtureNet(experiment.model, *read_model(folder))
        data = experiment.data
        variables, checkpoints = read_weights(folder, model, data.frames, data.size)
        return cls(folder, experiment, model, variables, checkpoints.record(),
                   checkpoints.latest_step())

    @property
    def clip(self) -> ClipSettings:
        """How its clips are cut from videos."""
        return self.experiment.data.clip

    @cached_property
    def sha256(self) -> str:
        """Hash of all that makes an estimate: weights, constants, backbone and settings."""
        plain = {"standard": self.model.scaling.plain(),
                 "backbone": describe(self.model.backbone),
                 "settings": hashed(self.experiment)}
        digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.variables):
            digest.update(json.dumps([str(key) for key in path]).encode())
            digest.update(np.ascontiguousarray(leaf).tobytes())
        return digest.hexdigest()

    @property
    def reference_cm(self) -> tuple[float, ...]:
        """Lengths of the reference objects of the training, ascending."""
        return self.model.scaling.reference_cm

    @property
    def parameters(self) -> int:
        """Number of weights that were learnt."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.variables["params"]))

    @cached_property
    def _observe(self) -> Callable[..., dict[str, jax.Array]]:
        preprocess = self.experiment.augment.in_use
        return jax.jit(partial(observe, self.model, preprocess=preprocess))

    def observe(self, batch: dict) -> dict[str, np.ndarray]:
        """What `observe` says of a batch on the host, without its padding, as numpy arrays.

        It is compiled once for batches of one size.
        """
        variables = jax.device_put(self.variables, jax.local_devices()[0])
        found = self._observe(variables, batch={name: batch[name] for name in _INPUTS})
        real = np.asarray(batch["example_mask"]) > 0
        return {name: np.asarray(value)[real] for name, value in found.items()}
