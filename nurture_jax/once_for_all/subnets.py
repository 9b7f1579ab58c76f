"""Networks out of one training: statistics of their own, what they cost and how they do.

A subnet that is cut out has the statistics of a few training clips, its last layers are fitted
once more, and it becomes a run of NurtureNet like any other: evaluation, intervals, the gate,
prediction and export take its folder.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.files import workdir
from deps_jax.common.loop.metrics import Mean, compute, merge
from deps_jax.common.loop.parallel import Tree
from deps_jax.common.loop.run import claim
from deps_jax.common.loop.state import TrainState
from deps_jax.common.nn.precision import full_precision
from deps_jax.space import cost
from deps_jax.space.layers import layers
from deps_jax.space.search_space import AXES
from deps_jax.space.subnet import Subnet, traced
from deps_jax.space.subnet_text import decode, encode, reported_subnets
from deps_jax.training.experiment import SpaceSettings
from deps_jax.training.train import Recipe
from nurture_jax.clips import negatives
from nurture_jax.clips.clip_augment import Batch, ClipAugment, normalise
from nurture_jax.clips.clip_batches import ClipSource, eval_batches
from nurture_jax.network.backbones import without_classifier
from nurture_jax.once_for_all.experiment import (
    OnceForAll,
    build_recipe,
    find_teacher,
    load_params,
    read_scaling,
)
from nurture_jax.once_for_all.network import ElasticNurture
from nurture_jax.records import splits
from nurture_jax.training import experiment as alone
from nurture_jax.training import run_data, training_data
from nurture_jax.training.best import Best, refit_once
from nurture_jax.training.losses import errors
from nurture_jax.training.model_file import MODEL, describe_model
from nurture_jax.training.train import Validator, judged

CALIBRATION_CLIPS = 64  # of the training split, for the statistics of a subnet; ours
_INPUTS = ("frames", "tabular", "tabular_mask", "reference_cm")


@dataclasses.dataclass(frozen=True)
class Measured:
    """A subnet on the validation split, before its last layers are fitted once more.

    Attributes:
      subnet: Its name.
      macs: Multiply-adds of its backbone for a frame.
      params: Number of parameters of its backbone.
      errors: Mean absolute errors in the units of the measures, by "mae_NAME".
    """

    subnet: str
    macs: int
    params: int
    errors: dict[str, float]


@dataclasses.dataclass(frozen=True)
class TrainedOnce:
    """A finished run of `experiment.train`, opened again.

    Attributes:
      folder: Folder of the run.
      config, settings: Its config, as it was written there and as settings.
      recipe: The settings of its steps.
      params: Parameters of the supernet.
      parts, sources: Visits and clips by the name of the split.
    """

    folder: Path
    config: dict
    settings: OnceForAll
    recipe: Recipe
    params: dict
    parts: dict
    sources: dict[str, ClipSource]

    @classmethod
    def open(cls, folder: Path, data_dir: str = "", asked: Sequence[str] = ()) -> TrainedOnce:
        """Reads config, constants, visits and weights of the run in `folder`.

        Args:
          data_dir: Folder of the data set, where it has moved; "" takes the config's.
          asked: Names of subnets that will be wanted, refused before a video is read.

        Raises:
          ValueError: If there is no run, no such subnet, no whole checkpoint, or the visits have
            changed.
        """
        settings = workdir.understood(folder, OnceForAll.from_dict)
        config, space = workdir.load(folder), settings.build_space()
        for name in asked:
            decode(space, name)
        if data_dir:
            settings = dataclasses.replace(settings, data=dataclasses.replace(
                settings.data, dir=data_dir))
            config = {**config, "data": {**config["data"], "dir": data_dir}}
        parts, sources = run_data.open_data(settings.data, folder)
        taught_by = find_teacher(settings, folder, continues=True)
        recipe = build_recipe(settings, read_scaling(folder), negatives.clips_of_an_epoch(
            settings.negatives, len(sources["train"])), taught_by)
        return cls(Path(folder), config, settings, recipe, load_params(recipe, settings, folder),
                   parts, sources)

    @property
    def network(self) -> ElasticNurture:
        """All its networks."""
        return self.recipe.task.network

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the subnets that a report shows."""
        return reported_subnets(self.network.space)

    @cached_property
    def _calibration(self) -> list[Batch]:
        """Batches of training clips as they are seen in use, evenly spread over the split."""
        train = dataclasses.replace(self.sources["train"], exact=False)
        size = min(self.settings.training.eval_batch_size, len(train))
        count = max(1, min(CALIBRATION_CLIPS, len(train)) // size)
        places = np.linspace(0, len(train) - 1, count * size).round().astype(int)
        clips = [train[int(i)] for i in places]
        return [{name: np.stack([clip[name] for clip in clips[i * size:(i + 1) * size]])
                 for name in _INPUTS} for i in range(count)]

    @cached_property
    def _runs(self) -> tuple[Callable, Callable]:
        preprocess = self.settings.augment.in_use
        return tuple(jax.jit(partial(run, self.network, preprocess))
                     for run in (batch_statistics, batch_errors))

    def statistics(self, subnet: Subnet) -> Tree:
        """Batch statistics of a subnet: means over some batches of training clips."""
        run, _ = self._runs
        found = [run(self.params, batch, traced(subnet)) for batch in self._calibration]
        return jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *found)

    def measure(self, name: str, split: str = "validation") -> Measured:
        """How a subnet does on the clips of a split, by its name."""
        space = self.network.space
        subnet = decode(space, name)
        statistics, (_, run), totals = self.statistics(subnet), self._runs, {}
        for batch in eval_batches(self.sources[split], self.settings.training.eval_batch_size):
            arrays = {key: batch[key] for key in (*_INPUTS, "labels")}
            arrays["labels_mask"] = judged(batch)
            totals = merge(totals, run(self.params, statistics, arrays, traced(subnet)))
        backbone = without_classifier(layers(space, subnet))
        return Measured(encode(space, subnet), cost.macs(backbone), cost.params(backbone),
                        compute(totals))

    def cut(self, name: str, out: Path) -> dict[str, float]:
        """A subnet as a run of its own in the folder `out`, its last layers fitted once more.

        Returns:
          Its mean absolute errors on the validation split, by "mae_NAME".

        Raises:
          ValueError: If there is no such subnet, or the folder is of another run.
        """
        settings, space = self.settings, self.network.space
        subnet = decode(space, name)
        model, variables = self.network.as_model(self.params, self.statistics(subnet), subnet)
        config = config_alone(self.config, settings.space, encode(space, subnet))
        run = alone.Experiment.from_dict(config)
        made_of = {splits.FILE: splits.content(self.parts),
                   MODEL: describe_model(model.scaling, model.backbone),
                   training_data.FILE: training_data.describe(self.parts)}
        with claim(out, config, may_differ=alone.MAY_DIFFER, meaning=alone.meaning,
                   records=made_of):
            recipe = alone.build_recipe(
                run, model.scaling, model.backbone, negatives.clips_of_an_epoch(
                    run.negatives_in_use, len(self.sources["train"])))
            best = Best(out, Validator(recipe), self.sources["validation"],
                        settings.training.eval_batch_size)
            state = TrainState(jnp.asarray(recipe.total_steps), variables["params"],
                               variables["batch_stats"], ())
            # Last layers that all networks share fit none of them, so there is no choice by the few
            # visits of validation between those and the ones that are fitted to this network.
            if settings.refit.epochs:
                train = dataclasses.replace(self.sources["train"], exact=False)
                refit_once(settings.refit, recipe, state, train, best,
                           jax.random.key(settings.seed))
            if not best.errors:  # no fit is wanted, or it has diverged
                best(recipe.total_steps, state)
        return best.errors


def config_alone(config: Mapping, space: SpaceSettings, name: str) -> dict:
    """Config of one network of a once-for-all training as a run of its own.

    Args:
      config: Config of that training.
      space: Its space.
      name: Full name of the network.
    """
    ours = ("space", "method", "teacher")  # the one that is cut out learns nothing more of it
    return {**{key: value for key, value in config.items() if key not in ours},
            "backbone": {"kind": "deps", "family": space.family, "width_mult": space.width_mult,
                         **{axis: getattr(space, axis) for axis in AXES}, "subnet": name}}


@full_precision
def batch_statistics(network: ElasticNurture, preprocess: ClipAugment, params: Tree, batch: Batch,
                     subnet: Subnet) -> Tree:
    """Batch statistics of a subnet on raw clips; pure."""
    clips = {**batch, "frames": normalise(batch["frames"], preprocess)}
    return network.apply(params, None, clips, subnet, train=True)[1]


@full_precision
def batch_errors(network: ElasticNurture, preprocess: ClipAugment, params: Tree, statistics: Tree,
                 batch: Batch, subnet: Subnet) -> dict[str, Mean]:
    """Mean absolute errors of a subnet on raw clips, by "mae_NAME"; pure."""
    clips = {**batch, "frames": normalise(batch["frames"], preprocess)}
    outputs, _ = network.apply(params, statistics, clips, subnet, train=False)
    return errors(network.scaling, outputs, batch)


def table(measured: Iterable[Measured], clip_ms: Mapping[str, float] | None = None) -> str:
    """Lines for a terminal: what each subnet costs, and its errors.

    Args:
      clip_ms: Milliseconds for a clip on some device, by the name of the subnet.
    """
    rows = list(measured)
    width = max(len(row.subnet) for row in rows)
    time = lambda name: f"{clip_ms[name]:9.1f}  " if clip_ms else ""
    lines = [f"{'subnet':{width}}  MMACs/frame  M params  " + ("ms a clip  " if clip_ms else "")
             + "  ".join(name.removeprefix("mae_") for name in rows[0].errors)]
    lines += [f"{row.subnet:{width}}  {row.macs / 1e6:11.2f}  {row.params / 1e6:8.3f}  "
              + time(row.subnet) + "  ".join(
                  f"{value:{len(name) - 4}.2f}" for name, value in row.errors.items())
              for row in rows]
    return "\n".join(lines)
