"""Which runs a comparison has: methods times seeds, each as long as the budget allows."""
from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping

import jax

from deps_jax.common.command.settings import build_settings
from deps_jax.common.loop.batches import Order
from deps_jax.common.loop.optim import update_macs
from deps_jax.comparison.equal_cost import equal_steps, run_macs
from deps_jax.data.load import check_placement
from deps_jax.data.pipeline import check_calibration
from deps_jax.space.cost import macs
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import largest
from deps_jax.supernet.supernet import init
from deps_jax.training.experiment import (
    Experiment,
    build,
    build_recipe,
    check_batches,
    check_parts,
)
from deps_jax.training.phases import BACKWARD, Plan

# Sections of a run's config that a run may have its own of, and what must be common in them.
OWN = ("method", "optimizer", "training", "augment", "cadence")
COMMON = {"training": ("epochs", "batch_size", "dtype"), "augment": ("mean", "std")}
# What may change when a comparison goes on: which of its runs, and where and how they are done. Not
# how they are evaluated, for all are to be evaluated alike.
MAY_DIFFER = ("seeds", "chosen", "reference", "base.data.dir", "base.data.workers",
              "base.data.placement", "base.cadence")
MEASURED_ON = ("test", "validation")
_NAME = re.compile(r"\w[\w.+]*")  # of folders on every system


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
      budget_epochs: Cost of every run, as that of so many epochs of the full model's training.
      base: Config that all runs share, as `Experiment.from_dict` takes it.
      runs: By the name of a run, the fields of the sections OWN that it changes in the base.
      chosen: Names of the runs that are made.
      seeds: Each run is made once with each.
      reference: Name of the run that differences are taken to.
      measured_on: Split that subnets are evaluated on, "test" or, for trials, "validation".
    """

    budget_epochs: float
    base: Mapping
    runs: Mapping[str, Mapping]
    chosen: tuple[str, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    reference: str = "deps"
    measured_on: str = "test"

    def __post_init__(self) -> None:
        if not self.budget_epochs > 0:
            raise ValueError(f"budget_epochs {self.budget_epochs} is not above 0; use as many "
                             f"epochs as the full model alone would train")
        if not (self.chosen and self.seeds):
            raise ValueError(f"there are {len(self.chosen)} chosen runs and {len(self.seeds)} "
                             f"seeds; give at least one of each")
        if wrong := [seed for seed in self.seeds if not isinstance(seed, int) or seed < 0]:
            raise ValueError(f"seed {wrong[0]!r} is no whole number of 0 or more; give such as 0,1")
        if self.measured_on not in MEASURED_ON:
            raise ValueError(f"measured_on {self.measured_on!r} is unknown; use one of "
                             f"{MEASURED_ON}")
        for names, what in ((self.chosen, "run"), (self.seeds, "seed")):
            if twice := [name for name in names if names.count(name) > 1]:
                raise ValueError(f"{what} {twice[0]!r} is named twice; name each once")
        for name in (*self.chosen, self.reference):
            if name not in self.runs:
                raise ValueError(f"run {name!r} is unknown; use some of {tuple(self.runs)}")
        for name, changes in self.runs.items():
            self._check_run(name, changes)

    @classmethod
    def from_dict(cls, config: Mapping) -> Comparison:
        """A comparison from the nested dict of plain values that its config is.

        Raises:
          ValueError: If a field is unknown, missing or impossible; the message names the first.
        """
        return build_settings(cls, config)

    def _check_run(self, name: str, changes: Mapping) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"run {name!r} cannot be the name of a folder; use letters, digits, "
                             f"'_', '.' and '+'")
        common = [section for section in changes if section not in OWN]
        common += [f"{section}.{field}" for section, fields in COMMON.items() for field in fields
                   if field in changes.get(section, {})]
        if common:
            raise ValueError(f"run {name!r} sets {common[0]}, which all runs share; set it in base")

    def config(self, name: str, seed: int) -> dict:
        """The config of one run, as long as the base has it."""
        config = copy.deepcopy(dict(self.base))
        for section, changes in self.runs[name].items():
            config[section] = {**config.get(section, {}), **changes}
        return {**config, "seed": seed}


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """A run of a comparison.

    Attributes:
      name, seed: Its name in the comparison, and its seed.
      config: Its config, whose epochs follow from the budget.
      steps: Number of its steps.
      macs, budget_macs: Its cost and the budget: multiply-adds over all images.
      measured_on: Split that its subnets are evaluated on.
    """

    name: str
    seed: int
    config: dict
    steps: int
    macs: float
    budget_macs: float
    measured_on: str = "test"

    @property
    def label(self) -> str:
        """The name of its folder."""
        return f"{self.name}-seed{self.seed}"


def plan(comparison: Comparison) -> list[PlannedRun]:
    """The runs of a comparison, all methods with the first seed, then with the next.

    Everything that can be refused is refused here, before anything is trained.

    Raises:
      ValueError: If a config is impossible, the data is not there, or the budget is too small for
        the phases of a method; the message names the run.
    """
    space = splits = None
    lengths = {}
    for name in comparison.chosen:
        config = comparison.config(name, comparison.seeds[0])
        experiment = _checked(name, config)
        if splits is None:
            check_placement(experiment.data)
            space, splits = build(experiment)
            check_calibration(len(splits.train), experiment.evaluation.calibration_images,
                              experiment.evaluation.calibration_batch_size)
            if not len(getattr(splits, comparison.measured_on)):
                raise ValueError(f"data set {experiment.data.name!r} has no "
                                 f"{comparison.measured_on} images, which the runs are compared "
                                 f"on; use one that has, or set base.data.validation_images")
        check_batches(experiment)
        check_parts(experiment)
        try:
            lengths[name] = _length(experiment, space, len(splits.train), comparison.budget_epochs)
        except ValueError as error:
            raise ValueError(f"budget_epochs {comparison.budget_epochs:g} does not do for run "
                             f"{name!r}: {error}") from error
    return [_planned(comparison, name, seed, *lengths[name])
            for seed in comparison.seeds for name in comparison.chosen]


def _checked(name: str, config: dict) -> Experiment:
    """The settings of a run; ValueError if they would make it no run of a comparison."""
    try:
        experiment = Experiment.from_dict(config)
    except ValueError as error:
        raise ValueError(f"run {name!r}: {error}") from error
    if getattr(experiment.method, "teacher", ""):
        raise ValueError(f"run {name!r} has a teacher from outside, whose cost nobody counts; "
                         f"leave method.teacher empty, and it trains one first")
    if experiment.subnet:
        raise ValueError(f"base.subnet is {experiment.subnet!r}, but a comparison trains spaces; "
                         f"leave it empty")
    return experiment


def _length(experiment: Experiment, space: SearchSpace, images: int, budget_epochs: float
            ) -> tuple[int, int, float, float]:
    """Steps of the run and of an epoch, and multiply-adds of the run and of the budget."""
    size = experiment.training.batch_size
    per_epoch = Order(images, size, experiment.seed).steps_per_epoch
    resolutions = experiment.training.resolutions
    full = (1 + BACKWARD) * macs(layers(space, largest(space)))
    budget = budget_epochs * per_epoch * full
    phases_of = lambda total: experiment.method.phases(
        Plan(space, experiment.optimizer, total, per_epoch))
    update = update_macs(experiment.optimizer, jax.eval_shape(
        lambda key: init(key, space)[0], jax.random.key(0))) / size
    steps = equal_steps(budget, phases_of, space, resolutions, update)
    epochs = steps / per_epoch
    recipe = build_recipe(dataclasses.replace(experiment, training=dataclasses.replace(
        experiment.training, epochs=epochs)), space, images)
    assert (recipe.total, recipe.steps_per_epoch) == (steps, per_epoch), (recipe.total, steps)
    cost = run_macs(recipe.phases, space, resolutions, update)
    return steps, per_epoch, size * cost, size * budget


def _planned(comparison: Comparison, name: str, seed: int, steps: int, per_epoch: int,
             run: float, budget: float) -> PlannedRun:
    config = comparison.config(name, seed)
    config["training"] = {**config["training"], "epochs": steps / per_epoch}
    return PlannedRun(name, seed, config, steps, run, budget, comparison.measured_on)
