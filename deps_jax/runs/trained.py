"""A finished run, opened again: what everything after training starts from."""
from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from deps_jax.common.files import sealed, workdir
from deps_jax.common.files.tensors import load_state_dict
from deps_jax.common.loop.parallel import check_batch_size
from deps_jax.common.loop.run import saved
from deps_jax.data.sources import Source, Splits, split
from deps_jax.evaluation.meter import Meter
from deps_jax.evaluation.recalibration import Evaluator
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.space.subnet_text import decode, encode
from deps_jax.supernet import supernet
from deps_jax.supernet.initial_weights import evaluated_field
from deps_jax.supernet.tensors import Tree
from deps_jax.training import run_records
from deps_jax.training.experiment import Experiment, build


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """The newest state of a training run and its data.

    Attributes:
      folder: Folder of the run.
      config: Its config, as it was written there.
      experiment: The config as settings.
      space: The search space.
      splits: The data, in the splits that the run has trained with.
      params: Parameters of the supernet; their average, where the run has kept one.
      step: Step of the checkpoint that they are from.
    """

    folder: Path
    config: dict
    experiment: Experiment
    space: SearchSpace
    splits: Splits
    params: dict
    step: int

    @classmethod
    def open(cls, folder: Path, data_dir: str | None = None) -> TrainedRun:
        """Reads config, data and checkpoint of the run in `folder`.

        Args:
          data_dir: Folder of the data, where it has moved; None takes the config's.

        Raises:
          ValueError: If there is no run, no data or no whole checkpoint, a file of the run is
            damaged, or the data has changed since the run began.
        """
        experiment = _read_experiment(folder, data_dir)
        # Not the batches of training: nothing is trained, and this machine may have other devices.
        check_batch_size(experiment.evaluation.batch_size)
        check_batch_size(experiment.evaluation.calibration_batch_size)
        kept = run_records.read(folder)
        space, splits = build(experiment, kept, kept and kept.space)
        params, step = load_trained(space, folder)
        return cls(Path(folder), workdir.load(folder), experiment, space, splits, params, step)

    def held_out(self, name: str, images: int = 0) -> Source:
        """The "validation" or "test" images.

        Args:
          name: "validation" or "test".
          images: Number of images, always the same ones; 0 takes all.

        Raises:
          ValueError: If the run has none.
        """
        source = getattr(self.splits, name)
        if not len(source):
            raise ValueError(f"the run in {self.folder} has no {name} images; train with "
                             f"--config.data.validation_images above 0")
        return split(source, images, seed=0)[1] if 0 < images < len(source) else source

    def meter(self, held_out: Source, *, resolution: int | None = None) -> Meter:
        """Recalibration and evaluation of any subnet on `held_out`, compiled once.

        Args:
          resolution: Side of the images in pixels; None is the space's own.
        """
        space = dataclasses.replace(self.space, resolution=resolution or self.space.resolution)
        experiment = self.experiment
        return Meter(space, experiment.augment, experiment.data, experiment.evaluation,
                     self.splits.train, held_out)

    def recalibrate(self, subnet: Subnet) -> Tree:
        """Batch statistics of a subnet, measured in float32 as the config says.

        Raises:
          ValueError: If the run has too few training images.
        """
        experiment = self.experiment
        images = experiment.evaluation.calibration(experiment.data, self.splits.train,
                                                   self.space.resolution)
        return Evaluator(self.space, experiment.augment).recalibrate(self.params, subnet, images)

    def chosen(self, name: str) -> str:
        """The given name, or that of the only network which the run has trained.

        Raises:
          ValueError: If no name is given and the run has trained a whole space.
        """
        if not name and self.experiment.method.trains_space:
            raise ValueError(f"the run in {self.folder} has trained a whole space; name a subnet, "
                             f"such as --subnet=smallest")
        return name or self.experiment.subnet or "largest"

    def check_trained(self, subnet: Subnet | None = None) -> None:
        """Raises ValueError when the run has trained one subnet alone, and not this one.

        Args:
          subnet: A static subnet; None asks for all of them.
        """
        if self.experiment.method.trains_space:
            return
        tuned = self.experiment.subnet
        only = encode(self.space, decode(self.space, tuned or "largest"))
        asked = encode(self.space, subnet) if subnet else "the space"
        if asked != only:
            use = "the run that it started from" if tuned else "a run that trains subnets"
            raise ValueError(f"the run in {self.folder} has trained {only} alone, not {asked}; "
                             f"use {use}")

    @property
    def origin(self) -> str:
        """Where the parameters are from, as a line for the terminal."""
        return f"checkpoint: step {self.step} of {self.folder}"

    @property
    def details(self) -> dict:
        """Where results come from, as plain values for reports and model cards."""
        evaluation = self.experiment.evaluation
        method = self.experiment.method
        decay = self.experiment.training.average_decay
        exact = evaluation.dtype == "float32"  # as all results of earlier versions that do not say
        return {"method": method.name, "aggregation": method.aggregation,
                **({"average_decay": decay} if decay else {}),
                **({} if exact else {"evaluation_dtype": evaluation.dtype}),
                "data": self.experiment.data.name, "step": self.step, "seed": self.experiment.seed,
                "calibration_images": evaluation.calibration_images,
                "calibration_batch_size": evaluation.calibration_batch_size,
                "calibration_seed": evaluation.calibration_seed}


def read_space(folder: Path, data_dir: str | None = None) -> SearchSpace:
    """The search space of a run, for which only runs of older versions need their data.

    Args:
      data_dir: Folder of the data, where it has moved; None takes the config's.

    Raises:
      ValueError: If there is no run, or its space is damaged.
    """
    experiment = _read_experiment(folder, data_dir)
    return run_records.read_space(folder) or build(experiment)[0]


def load_trained(space: SearchSpace, folder: Path) -> tuple[dict, int]:
    """Parameters of a run's newest state and its step, whatever optimizer they were trained with.

    The parameters are their average, where the run has kept one.
    """
    params, _ = jax.eval_shape(lambda: supernet.init(jax.random.key(0), space))
    checkpoints = saved(folder)
    field = evaluated_field(checkpoints)
    found = checkpoints.restore_part({field: params, "step": jax.ShapeDtypeStruct((), "int32")})
    return found[field], int(found["step"])


def _read_experiment(folder: Path, data_dir: str | None) -> Experiment:
    experiment = workdir.understood(folder, Experiment.from_dict)
    if data_dir is None:
        return experiment
    return dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, dir=data_dir))


def save_statistics(path: Path, batch_stats: Tree) -> None:
    """Writes batch statistics of one subnet as .npz, named by their place in the supernet."""
    content = io.BytesIO()
    np.savez_compressed(content, **{
        jax.tree_util.keystr(key, simple=True, separator="/"): np.asarray(leaf)
        for key, leaf in jax.tree_util.tree_leaves_with_path(batch_stats)})
    sealed.replace(path, content.getvalue())


def read_statistics(path: Path) -> Tree:
    """Batch statistics as `save_statistics` has written them, in their places in the supernet.

    Raises:
      ValueError: As `load_state_dict`.
    """
    return unflatten_dict(load_state_dict(path), sep="/")


def file_name(subnet: str) -> str:
    """The name of a subnet as part of a file name."""
    return subnet.replace("/", "_")
