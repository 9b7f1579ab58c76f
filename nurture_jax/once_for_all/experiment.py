"""One training for all phones from plain settings; the run of a supernet on clips.

    WORKDIR/config.json, splits.json, data.json    as of every training of NurtureNet
    WORKDIR/model.json                             constants of the training split
    WORKDIR/teacher.json                           the run that the full model learns from, if any
    WORKDIR/checkpoints/                           the newest states of the supernet

What is learnt, on which clips and with which method is all in `OnceForAll`; the steps are those of
`deps_jax.training`.
"""
from __future__ import annotations

import dataclasses
from pathlib import Path

import jax

from deps_jax.common.command.few import few
from deps_jax.common.command.settings import build_tree
from deps_jax.common.files import workdir
from deps_jax.common.loop.fit import Cadence
from deps_jax.common.loop.optim import Optimizer, check_floor
from deps_jax.common.loop.parallel import check_batch_size
from deps_jax.common.loop.profile import Profile, Tracer
from deps_jax.common.loop.run import claim, continue_or_start, saved
from deps_jax.common.loop.state import TrainState
from deps_jax.common.nn.operations import SYNCHRONISED
from deps_jax.common.processes.together import my_places
from deps_jax.data.augment import Augment
from deps_jax.space.search_space import SearchSpace
from deps_jax.training.experiment import SpaceSettings, build_method, print_plan
from deps_jax.training.losses import Hard
from deps_jax.training.method import Method
from deps_jax.training.samplers import Named
from deps_jax.training.train import Recipe, state_of
from deps_jax.training.trainer import Trainer
from nurture_jax.clinic.checks import Limits
from nurture_jax.clips import negatives
from nurture_jax.clips.clip_augment import Batch, ClipAugment
from nurture_jax.clips.clip_batches import ClipBatches, ClipSource
from nurture_jax.clips.negatives import Negatives
from nurture_jax.network.model import ModelSettings
from nurture_jax.network.scaling import Scaling
from nurture_jax.once_for_all.network import ElasticNurture
from nurture_jax.once_for_all.task import Anthropometry
from nurture_jax.records import splits
from nurture_jax.training import experiment as alone
from nurture_jax.training import messages, teacher, training_data
from nurture_jax.training.distillation import Teaching, own, projection
from nurture_jax.training.experiment import MAY_DIFFER, Training
from nurture_jax.training.losses import Losses
from nurture_jax.training.model_file import MODEL
from nurture_jax.training.refit import Refit
from nurture_jax.training.run_data import Data, is_begun, open_sources, read_data
from nurture_jax.training.teacher import Teacher
from nurture_jax.training.train import TRAINING_ARRAYS, batch_shapes, steps_of_an_epoch

SHOWN = ("loss", "mae_weight_g")


@dataclasses.dataclass(frozen=True)
class OnceForAll:
    """All settings of a run: those of NurtureNet, with a space in the place of the backbone.

    Attributes:
      space: The backbones that are trained together.
      method: How, a value of `deps_jax.training.methods` with any field replaced.
      refit: How the last layers of a network that is cut out are fitted once more.
      gate: Limits of the networks that are cut out.
      teacher: Another run that the full model learns from beside the records, if there is one; its
        subnets learn from the full model.
    """

    data: Data
    augment: ClipAugment
    space: SpaceSettings
    method: Method
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

    def __post_init__(self) -> None:
        if self.training.backbone_rate != 1:
            raise ValueError(f"training.backbone_rate {self.training.backbone_rate} is for "
                             f"backbones that start from weights; leave it at 1")

    @classmethod
    def from_dict(cls, config: dict) -> OnceForAll:
        """The experiment that a config describes.

        Raises:
          ValueError: If a field is unknown, missing or impossible, naming the first.
        """
        return build_tree(cls, {**config, "method": build_method(config.get("method", {}))})

    def build_space(self) -> SearchSpace:
        """The space of the backbones, for frames of `data.size` pixels."""
        space = dataclasses.replace(self.space, resolution=self.data.size)
        return space.build(num_classes=2)  # a classifier is not trained


def meaning(config: dict) -> dict:
    """A config with all that it leaves to defaults filled in, as plain values."""
    return dataclasses.asdict(OnceForAll.from_dict(config))


def build_recipe(settings: OnceForAll, scaling: Scaling, clips: int,
                 taught_by: Teacher | None = None) -> Recipe:
    """The settings of the training step for so many training clips, and perhaps a teacher.

    Raises:
      ValueError: If a batch does not fit them, the phases of the method do not fit the run, or the
        method has networks that a teacher would have to teach as well.
    """
    training, space = settings.training, settings.build_space()
    steps_per_epoch = steps_of_an_epoch(clips, training.batch_size)
    network = ElasticNurture(space, settings.model, scaling)
    frames = settings.augment.frames or settings.data.frames
    recipe = Recipe(
        space=space, method=settings.method, optimizer=settings.optimizer,
        augment=Augment(mean=settings.augment.mean, std=settings.augment.std),
        total=max(1, round(training.epochs * steps_per_epoch)), steps_per_epoch=steps_per_epoch,
        other_task=Anthropometry(network, settings.losses, settings.augment,
                                 min(frames, settings.data.frames),
                                 training.batch_norm == SYNCHRONISED,
                                 taught_by.model if taught_by else None, settings.teacher),
        batch_norm=training.batch_norm)
    if taught_by:
        _check_method(recipe)
    return recipe


def _check_method(recipe: Recipe) -> None:
    """Raises ValueError for a method by which a teacher would teach more than the full model."""
    name = recipe.method.name
    if recipe.keeps_teacher:
        raise ValueError(f"method {name!r} keeps a frozen full model in the place of a teacher; "
                         f"leave teacher.run empty, or use the method 'deps'")
    others = [slot.name for phase in recipe.phases for slot in phase.slots
              if isinstance(slot.loss, Hard) and slot.subnet != Named("largest")]
    if others:
        told = few(list(dict.fromkeys(others)))
        raise ValueError(f"method {name!r} trains other networks than the full model on the "
                         f"records ({told}), and a teacher teaches the full model alone; leave "
                         f"teacher.run empty, or use the method 'deps'")


def init_state(key: jax.Array, recipe: Recipe, settings: OnceForAll) -> TrainState:
    """The state before the first step, with random weights.

    Returns:
      The state, but for the variables of a teacher, which `teacher` of it has to be set to.
    """
    task, data = recipe.task, settings.data
    params, stats = task.network.init(key, data.frames, data.size)
    params |= projection(key, task.teaching, task.network.full_model, task.teacher,
                         (data.frames, data.size, data.size))
    return state_of(recipe, params, stats)


def train(settings: OnceForAll, folder: Path, config: dict, profile: str = "") -> TrainState:
    """Trains the supernet, continuing where an earlier call in the same folder stopped.

    Everything that can be refused is refused before a video is decoded.

    Args:
      folder: Folder of the run.
      config: What `settings` was made from; it is kept beside the results.
      profile: Steps to trace, "START:STEPS"; "" traces none.

    Raises:
      ValueError: If something is refused, also where the visits that a run was begun with have
        changed since, or another process trains in the folder.
    """
    folder, training = Path(folder), settings.training
    check_batch_size(training.batch_size, jax.device_count())
    check_floor(settings.optimizer)
    workdir.check(folder, config, may_differ=MAY_DIFFER, meaning=meaning)
    continues = saved(folder).any()
    taught_by = find_teacher(settings, folder, continues=continues)
    found, parts = read_data(settings.data, folder)
    if taught_by and not continues:
        taught_by.check_held_out(Path(settings.data.dir), parts)
    scaling = read_scaling(folder) if is_begun(folder) else Scaling.of(parts["train"])
    planned = build_recipe(settings, scaling, negatives.clips_of_an_epoch(
        settings.negatives, len(parts["train"])), taught_by)
    traced = Profile.parse(profile, planned.total)
    made_of = {splits.FILE: splits.content(parts),
               training_data.FILE: training_data.describe(parts),
               MODEL: {"standard": scaling.plain()},
               **({teacher.FILE: taught_by.record} if taught_by else {})}
    with claim(folder, config, may_differ=MAY_DIFFER, meaning=meaning, records=made_of):
        sources = open_sources(settings.data, found, parts, settings.model.head_stride)
        messages.tell_left_out(folder, found, sources["train"].cache.left_out)
        recipe = build_recipe(settings, scaling, negatives.clips_of_an_epoch(
            settings.negatives, len(sources["train"])), taught_by)
        return _train(settings, folder, recipe, sources["train"], taught_by,
                      Tracer(traced, folder))


def _train(settings: OnceForAll, folder: Path, recipe: Recipe, source: ClipSource,
           taught_by: Teacher | None, tracer: Tracer) -> TrainState:
    """The training itself, in a folder that is claimed."""
    data, training, wanted = settings.data, settings.training, settings.negatives
    init_key, step_key = jax.random.split(jax.random.key(settings.seed))
    untaught = lambda: init_state(init_key, recipe, settings)
    shapes = jax.eval_shape(untaught)

    def new_state() -> TrainState:
        # A teacher's weights are no constants of a compiled program.
        state = jax.jit(untaught)()
        return state.replace(teacher=taught_by.variables) if taught_by else state

    if taught_by:
        shapes = shapes.replace(teacher=taught_by.shapes(data.frames, data.size))
        print(f"the full model learns from {taught_by.folder}, too", flush=True)
    mixed = negatives.mixed(source, wanted, negatives.of_folders(
        data.negative_folders if wanted.share else (), data.cache_folder, data.clip,
        source.mask_stride, workers=data.workers))
    batches = ClipBatches(mixed, training.batch_size, settings.seed, workers=data.read_workers,
                          change=mixed.change)
    batches.places = my_places(training.batch_size)
    with continue_or_start(folder, shapes, new_state, batches) as run:
        print_plan(recipe, training.batch_size, f"{len(source)} clips", run.start_step)
        trainer = Trainer(recipe, step_key)
        if run.start_step < recipe.total:
            trainer.compile(shapes, batch_shapes(
                source[0], training.batch_size // jax.process_count()), run.start_step,
                            run.spending)
        return run.fit(trainer, place=lambda batch: trainer.place(trained_on(batch)),
                       total_steps=recipe.total, tracer=tracer, batch_size=training.batch_size,
                       cadence=settings.cadence, unit="clips", shown=SHOWN)


def trained_on(batch: Batch) -> Batch:
    """What a step takes of a batch of `clip_batches`."""
    return {name: batch[name] for name in TRAINING_ARRAYS}


def find_teacher(settings: OnceForAll, folder: Path, *, continues: bool) -> Teacher | None:
    """The run that the full model learns from; arguments and errors as of `teacher.find`."""
    return teacher.find(settings, folder, alone.Experiment.from_dict, continues=continues)


def read_scaling(folder: Path) -> Scaling:
    """Constants that the weights of a run belong to.

    Raises:
      ValueError: If they are missing or damaged.
    """
    content = workdir.read(folder, MODEL)
    if content is None:
        raise ValueError(f"{folder} has no {MODEL}; give the --workdir of "
                         f"launch.train_nurture_once")
    return Scaling.from_dict(content["standard"])


def load_params(recipe: Recipe, settings: OnceForAll, folder: Path) -> dict:
    """Parameters of the last state of a run, without what only training has.

    Raises:
      ValueError: If there is no checkpoint, it is of another network, or the training has not
        ended: for half of it no subnet is trained.
    """
    step = saved(folder).latest_step()
    if step is not None and step < recipe.total:
        raise ValueError(f"the training in {folder} has done {step} of {recipe.total} steps; run "
                         f"launch.train_nurture_once with that --workdir again until it ends")
    shapes = jax.eval_shape(lambda: init_state(jax.random.key(0), recipe, settings))
    return own(saved(folder).restore_part({"params": shapes.params})["params"])
