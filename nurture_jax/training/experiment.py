"""One experiment from plain settings: read the visits, decode them once, train, keep the best.

`Experiment.from_dict` is where a config becomes frozen dataclasses; nothing below knows configs.

    WORKDIR/config.json, splits.json, data.json    what is trained on what
    WORKDIR/model.json                             constants and backbone, part of the weights
    WORKDIR/teacher.json                           the run that is learnt from, if there is one
    WORKDIR/records.txt                            visits that could not be used, and why
    WORKDIR/checkpoints/                           the newest states, to continue from
    WORKDIR/best/                                  weights of the smallest validation error
    WORKDIR/refit.json                             its errors after the last layers' second fit

The first three lines are written when a run is begun, and read back when it continues.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import flax.linen as nn
import jax

from deps_jax.common.command.settings import build_settings, build_tree
from deps_jax.common.files import workdir
from deps_jax.common.loop.fit import Cadence
from deps_jax.common.loop.optim import Optimizer, check_floor
from deps_jax.common.loop.parallel import Tree, check_batch_size
from deps_jax.common.loop.profile import Profile, Tracer
from deps_jax.common.loop.run import claim, continue_or_start, saved
from deps_jax.common.nn.operations import SYNCHRONISED, check_batch_norm
from deps_jax.common.processes.together import my_places
from nurture_jax.clinic.checks import Limits
from nurture_jax.clips import negatives
from nurture_jax.clips.clip_augment import ClipAugment
from nurture_jax.clips.clip_batches import ClipBatches, ClipSource
from nurture_jax.clips.negatives import Negatives
from nurture_jax.network import backbone_weights
from nurture_jax.network.backbone_weights import Backbone, Start
from nurture_jax.network.model import ModelSettings, NurtureNet
from nurture_jax.network.scaling import Scaling
from nurture_jax.records import splits
from nurture_jax.training import messages, teacher, training_data
from nurture_jax.training.best import Best, refit_once
from nurture_jax.training.distillation import Teaching
from nurture_jax.training.losses import Losses
from nurture_jax.training.model_file import MODEL, describe_model, read_model
from nurture_jax.training.refit import Refit
from nurture_jax.training.run_data import Data, is_begun, open_sources, read_data
from nurture_jax.training.teacher import Teacher
from nurture_jax.training.train import (
    Recipe,
    Trainer,
    TrainState,
    Validator,
    init_state,
    steps_of_an_epoch,
)

# Fields that a continued run may change: where and how, not what.
MAY_DIFFER = ("data.dir", "data.cache", "data.negatives", "data.workers", "data.read_workers",
              "cadence")
TEACHER = "teacher"
GATE = "gate"  # trains nothing, but intervals are calibrated on what it accepts


@dataclasses.dataclass(frozen=True)
class Training:
    """Length of the run, and what is trained at once.

    Attributes:
      epochs: Passes over the training clips; may be a fraction.
      batch_size, eval_batch_size: Clips in a step, and in a batch of validation.
      backbone_rate, batch_norm: See `train.Recipe`.

    Raises:
      ValueError: If a number is not above 0.
    """

    epochs: float
    batch_size: int
    eval_batch_size: int = 16
    backbone_rate: float = 1.0
    batch_norm: str = SYNCHRONISED

    def __post_init__(self) -> None:
        check_batch_norm(self.batch_norm)
        if self.epochs <= 0 or min(self.batch_size, self.eval_batch_size) < 1:
            raise ValueError(f"training.epochs {self.epochs}, training.batch_size "
                             f"{self.batch_size} and training.eval_batch_size "
                             f"{self.eval_batch_size} must be above 0")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All settings of a run.

    Attributes:
      seed: Seed of initial weights, shuffling, augmentation and drop-out.
      gate: Limits of the recordings that evaluation and prediction accept.
      negatives: Clips without a newborn that are mixed into the training.
      teacher: Another run that is learnt from beside the records, if there is one.
    """

    data: Data
    augment: ClipAugment
    backbone: Backbone
    model: ModelSettings
    losses: Losses
    optimizer: Optimizer
    training: Training
    cadence: Cadence = dataclasses.field(default_factory=Cadence)
    seed: int = 0
    refit: Refit = dataclasses.field(default_factory=Refit)
    gate: Limits = dataclasses.field(default_factory=Limits)
    negatives: Negatives = dataclasses.field(default_factory=Negatives)
    teacher: Teaching = dataclasses.field(default_factory=Teaching)

    @property
    def negatives_in_use(self) -> Negatives:
        """Settings of the clips without a newborn: none where no head would learn from them."""
        learns = self.model.use_video and (self.model.segmentation or self.model.keypoints)
        return self.negatives if learns else Negatives()

    @classmethod
    def from_dict(cls, config: dict) -> Experiment:
        """The experiment that a config describes.

        Raises:
          ValueError: If a field is unknown, missing or impossible, naming the first.
        """
        return build_tree(cls, config)


def meaning(config: dict) -> dict:
    """A config with all that it leaves to defaults filled in, as plain values."""
    return dataclasses.asdict(Experiment.from_dict(config))


def train(experiment: Experiment, folder: Path, config: dict,
          profile: str = "") -> dict[str, float]:
    """Trains, continuing where an earlier call in the same folder stopped.

    Everything that can be refused is refused before a video is decoded.

    Args:
      folder: Folder of the run.
      config: What `experiment` was made from; it is kept beside the results.
      profile: Steps to trace, "START:STEPS"; "" traces none.

    Returns:
      Mean absolute errors of the best weights on the validation split, by "mae_LABEL".

    Raises:
      ValueError: If something is refused, also where the visits that a run was begun with have
        changed since, or another process trains in the folder.
    """
    folder, training = Path(folder), experiment.training
    check_batch_size(training.batch_size, jax.device_count())
    check_batch_size(training.eval_batch_size)
    check_gate(experiment.gate, folder)
    check_floor(experiment.optimizer)
    workdir.check(folder, config, may_differ=MAY_DIFFER, meaning=meaning)
    continues = saved(folder).any()
    start = None if continues else starting_backbone(experiment)
    taught_by = teacher.find(experiment, folder, Experiment.from_dict, continues=continues)
    found, parts = read_data(experiment.data, folder)
    if taught_by and not continues:
        taught_by.check_held_out(Path(experiment.data.dir), parts)
    scaling, backbone = read_model(folder, start) if is_begun(folder) else (
        Scaling.of(parts["train"]), start.module)
    planned = build_recipe(experiment, scaling, backbone, negatives.clips_of_an_epoch(
        experiment.negatives_in_use, len(parts["train"])), taught_by)
    traced = Profile.parse(profile, planned.total_steps)
    made_of = {splits.FILE: splits.content(parts), MODEL: describe_model(scaling, backbone),
               training_data.FILE: training_data.describe(parts),
               **({teacher.FILE: taught_by.record} if taught_by else {})}
    with claim(folder, config, may_differ=MAY_DIFFER, meaning=meaning, records=made_of):
        scaling, backbone = read_model(folder, start)
        sources = open_sources(experiment.data, found, parts, experiment.model.head_stride)
        messages.tell_left_out(folder, found, sources["train"].cache.left_out)
        recipe = build_recipe(experiment, scaling, backbone, negatives.clips_of_an_epoch(
            experiment.negatives_in_use, len(sources["train"])), taught_by)
        return _train(experiment, folder, recipe, sources, start.variables if start else None,
                      taught_by, Tracer(traced, folder))


def _train(experiment: Experiment, folder: Path, recipe: Recipe,
           sources: Mapping[str, ClipSource], weights: Tree | None, taught_by: Teacher | None,
           tracer: Tracer) -> dict[str, float]:
    """The training itself, in a folder that is claimed.

    Args:
      sources: Clips by the name of the split.
      weights: Variables to start the backbone from; None for random ones.
      taught_by: What is learnt from beside the records; None is nothing.
      tracer: Traces some of the steps.
    """
    data, training = experiment.data, experiment.training
    init_key, step_key = jax.random.split(jax.random.key(experiment.seed))

    def untaught() -> TrainState:
        return init_state(init_key, recipe, (data.frames, data.size, data.size), weights)

    def new_state() -> TrainState:
        # A teacher's weights are no constants of a compiled program.
        return jax.jit(untaught)().replace(teacher=taught_by.variables if taught_by else {})

    shapes = jax.eval_shape(untaught)
    if taught_by:
        shapes = shapes.replace(teacher=taught_by.shapes(data.frames, data.size))
        print(f"learns from {taught_by.folder}, too", flush=True)
    best = Best(folder, Validator(recipe), sources["validation"], training.eval_batch_size)
    wanted = experiment.negatives_in_use
    source = negatives.mixed(sources["train"], wanted, negatives.of_folders(
        data.negative_folders if wanted.share else (), data.cache_folder, data.clip,
        sources["train"].mask_stride, workers=data.workers))
    batches = ClipBatches(source, training.batch_size, experiment.seed,
                          workers=data.read_workers, change=source.change)
    batches.places = my_places(training.batch_size)
    with continue_or_start(folder, shapes, new_state, batches) as run:
        messages.print_plan(recipe, sources, training.batch_size, source.places, shapes,
                            run.start_step)
        trainer = Trainer(recipe, step_key)
        if run.start_step < recipe.total_steps:
            trainer.compile(shapes, sources["train"][0], training.batch_size, run.spending)
        state = run.fit(trainer, place=trainer.place, total_steps=recipe.total_steps,
                        tracer=tracer, batch_size=training.batch_size, cadence=experiment.cadence,
                        evaluate=best, unit="clips", shown=("loss", "mae_weight_g"))
        if not best.has_judged(recipe.total_steps):
            run.writer.write(recipe.total_steps, best(recipe.total_steps, state))
        if experiment.refit.epochs:
            as_in_use = dataclasses.replace(sources["train"], exact=False)
            errors = refit_once(experiment.refit, recipe, state, as_in_use, best,
                                jax.random.fold_in(step_key, recipe.total_steps))
            run.writer.write(recipe.total_steps + 1, errors)
    return best.errors


def check_gate(gate: Limits, folder: Path) -> None:
    """Raises ValueError for limits that are not those a run in the folder was begun with."""
    if not is_begun(folder):
        return
    before = build_settings(Limits, workdir.load(folder).get(GATE, {}), GATE)
    for name, value in dataclasses.asdict(gate).items():
        if value != (old := getattr(before, name)):
            raise ValueError(
                f"gate.{name} is {old:g} in {folder} and {value:g} now; limits of the gate train "
                f"nothing: leave it, and give --gate={name}={value:g} to launch.evaluate_nurture")


def starting_backbone(experiment: Experiment) -> Start:
    """The backbone of the config.

    Raises:
      ValueError: If its weights do not fit, or expect other images.
    """
    start = backbone_weights.start(experiment.backbone, experiment.data.size)
    for name in ("mean", "std"):
        expected, given = getattr(start, name), tuple(getattr(experiment.augment, name))
        if expected is not None and expected != given:
            raise ValueError(f"augment.{name} is {given}, the backbone was trained with "
                             f"{expected}; set augment.{name} to that")
    return start


def build_recipe(experiment: Experiment, scaling: Scaling, backbone: nn.Module, clips: int,
                 taught_by: Teacher | None = None) -> Recipe:
    """The settings of the training step for so many training clips, and perhaps a teacher.

    Raises:
      ValueError: If a batch does not fit them, or the warm-up is longer than the run.
    """
    training = experiment.training
    steps_per_epoch = steps_of_an_epoch(clips, training.batch_size)
    recipe = Recipe(
        model=NurtureNet(experiment.model, scaling, backbone), losses=experiment.losses,
        augment=experiment.augment, optimizer=experiment.optimizer,
        backbone_rate=training.backbone_rate, steps_per_epoch=steps_per_epoch,
        total_steps=max(1, round(training.epochs * steps_per_epoch)),
        teacher=taught_by.model if taught_by else None, teaching=experiment.teacher,
        batch_norm=training.batch_norm)
    recipe.schedule()  # refuses a warm-up that is longer than the run
    return recipe
