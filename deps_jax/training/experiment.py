"""One experiment from plain settings: train a supernet, then evaluate its subnets.

`Experiment.from_dict` is where a config becomes frozen dataclasses; nothing below knows configs.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import jax

from deps_jax.common.command.named import named
from deps_jax.common.command.settings import build_settings, build_tree
from deps_jax.common.command.vectors import vector_bits
from deps_jax.common.files import sealed, workdir
from deps_jax.common.loop.batches import Order
from deps_jax.common.loop.fit import Cadence
from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.loop.parallel import check_batch_size
from deps_jax.common.loop.peak import peak_macs_per_second
from deps_jax.common.loop.profile import Profile, Tracer
from deps_jax.common.loop.run import claim, continue_or_start, saved
from deps_jax.common.loop.state import TrainState
from deps_jax.common.nn.operations import PER_DEVICE, SYNCHRONISED, check_batch_norm
from deps_jax.common.processes.together import first_does, my_places
from deps_jax.data.augment import Augment
from deps_jax.data.load import Data, check_placement, squares, train_batches
from deps_jax.data.pipeline import check_calibration
from deps_jax.data.sources import Splits, in_memory, split
from deps_jax.evaluation.certainty import percent
from deps_jax.evaluation.linear_probe import fit_classifier
from deps_jax.evaluation.meter import Evaluation, Meter
from deps_jax.space.families import SPACES
from deps_jax.space.search_space import AXES, SearchSpace
from deps_jax.space.subnet_text import decode
from deps_jax.supernet.initial_weights import initial_weights, teacher_weights
from deps_jax.training import run_records
from deps_jax.training.method import Method
from deps_jax.training.methods import METHODS
from deps_jax.training.train import Recipe, init_state, state_of
from deps_jax.training.trainer import Trainer

PROBE = "linear_probe.json"  # how the fitted classifier does before the first step
PROBED = ("smallest", "largest")  # networks whose features a classifier is fitted to
PROBED_IMAGES = 2000  # at most: more take long, and all layers are trained afterwards (our choice)
# Fields that a continued run may change: where and how, not what.
MAY_DIFFER = ("data.dir", "data.workers", "data.placement", "cadence", "evaluation")


@dataclasses.dataclass(frozen=True)
class SpaceSettings:
    """A family with some of its fields replaced; None keeps the family's own.

    Attributes:
      family: A name of `deps_jax.space.families.SPACES`, or "module:NAME" of a space of your own.
      depths, kernels, expands, widths: Lists to choose from in the stages, see
        `SearchSpace.with_choices`.
      width_mult: Scales every width.
      resolution: Side of the images in pixels.
      kernel_transform: Whether smaller kernels are learned maps of larger ones, see `SearchSpace`.
    """

    family: str
    depths: tuple[int, ...] | None = None
    kernels: tuple[int, ...] | None = None
    expands: tuple[float, ...] | None = None
    widths: tuple[float, ...] | None = None
    width_mult: float = 1.0
    resolution: int | None = None
    kernel_transform: bool = False

    def build(self, num_classes: int) -> SearchSpace:
        """The search space for so many classes.

        Raises:
          ValueError: If the family is unknown, or cannot have these choices.
        """
        family = named("space.family", self.family, SPACES, SearchSpace)
        return family.with_choices(
            depths=self.depths, kernels=self.kernels, expands=self.expands, widths=self.widths,
            width_mult=self.width_mult, kernel_transform=self.kernel_transform,
            resolution=self.resolution or family.resolution, num_classes=num_classes)


@dataclasses.dataclass(frozen=True)
class Training:
    """Length and regularisation of the run; see `Recipe` for all but the first two.

    Attributes:
      epochs: Passes over the training images, above 0; may be a fraction.
      batch_size: Images of a step, on all devices together.
    """

    epochs: float
    batch_size: int
    label_smoothing: float = 0.1
    dropout_rate: float = 0.0
    drop_connect_rate: float = 0.0
    norm_momentum: float = 0.1
    dtype: str = "float32"
    zero_scales: bool = False
    average_decay: float = 0.0
    accumulation: int = 1
    resolutions: tuple[int, ...] = ()
    rate_tables: bool = False
    batch_norm: str = SYNCHRONISED

    def __post_init__(self) -> None:
        check_batch_norm(self.batch_norm)
        object.__setattr__(self, "resolutions", tuple(self.resolutions))
        if self.epochs <= 0 or self.batch_size < 1:
            raise ValueError(f"training.epochs {self.epochs} and training.batch_size "
                             f"{self.batch_size} must be above 0")
        if not 0 < self.norm_momentum <= 1:
            raise ValueError(f"training.norm_momentum {self.norm_momentum:g} is not above 0 and at "
                             f"most 1; it is the part of the new batch, 0.1 as in OFA")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """All settings of a run.

    Attributes:
      method: A value of `deps_jax.training.methods` or of the user's own, with any field replaced.
      seed: Seed of initial weights, shuffling, augmentation, sampled subnets and drop-out.
      init_from: Run folder, PyTorch checkpoint or npz to start from; "" starts from random
        weights. Its classifier is used only if the number of classes is the same.
      fit_classifier: Whether the first step finds a classifier that was fitted to the features of
        those weights (see `linear_probe`), whatever classifier they have.
      subnet: Name of the one subnet that plain training trains; "" trains the full model.
    """

    data: Data
    augment: Augment
    space: SpaceSettings
    method: Method
    optimizer: Optimizer
    training: Training
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    cadence: Cadence = dataclasses.field(default_factory=Cadence)
    seed: int = 0
    init_from: str = ""
    fit_classifier: bool = False
    subnet: str = ""

    def __post_init__(self) -> None:
        if self.fit_classifier and not self.init_from:
            raise ValueError("fit_classifier is True, but random weights have no features to fit a "
                             "classifier to; give init_from the weights to start from")
        if self.subnet and self.method.trains_space:
            raise ValueError(f"subnet {self.subnet!r} is to be trained alone, but method "
                             f"{self.method.name!r} trains {self.method.subnets_per_step} subnets "
                             f"a step; choose plain training with --config FILE:plain")

    @classmethod
    def from_dict(cls, config: dict) -> Experiment:
        """An experiment from the nested dict of plain values that a config is.

        Raises:
          ValueError: If a field is unknown, missing or impossible; the message names the first.
        """
        if not isinstance(config, Mapping):
            raise ValueError(f"the config is {config!r:.80}, not sections by name; give it some")
        return build_tree(cls, {**config, "method": build_method(config.get("method", {}))})


def meaning(config: dict) -> dict:
    """A config with all that it leaves to a family or to defaults filled in, as plain values.

    So a config that names the family's own kernels means the same as one that leaves them to it.
    """
    experiment = Experiment.from_dict(config)
    built = experiment.space.build(num_classes=2)
    chosen = {axis: list(built.offered(axis)) for axis in AXES}
    plain = dataclasses.asdict(experiment)
    return {**plain, "space": {**plain["space"], **chosen, "resolution": built.resolution}}


def train(experiment: Experiment, folder: Path, config: dict, splits_of: Path | None = None,
          profile: str = "") -> TrainState:
    """Trains the supernet, continuing where an earlier call in the same folder stopped.

    Everything that can be refused is refused before anything is compiled.

    Args:
      folder: Folder of the run; made where it is missing.
      config: What `experiment` was made from; it is kept beside the results.
      splits_of: Folder of a run whose splits a new run takes over, so that its test images stay
        unseen.
      profile: Steps to trace, "START:STEPS"; "" traces none.

    Returns:
      The state after the last step, which is saved, too.

    Raises:
      ValueError: If settings do not fit each other, the data or the run in the folder, if
        another process trains there, or the data has changed.
    """
    check_placement(experiment.data)
    check_batches(experiment)
    check_parts(experiment)
    same = {"may_differ": may_differ(experiment.data), "meaning": meaning}
    workdir.check(folder, config, **same)
    own = run_records.read(folder)
    other = run_records.read(splits_of) if splits_of and not own else None
    space, splits = build(experiment, own or other, own and own.space)
    check_calibration(len(splits.train), experiment.evaluation.calibration_images,
                      experiment.evaluation.calibration_batch_size)
    for name in (*experiment.evaluation.names(space), experiment.subnet or "largest"):
        decode(space, name)
    recipe = build_recipe(experiment, space, len(splits.train))
    traced = Profile.parse(profile, recipe.total)
    init_key, step_key = jax.random.split(jax.random.key(experiment.seed))
    weights = cache(lambda: _start(experiment, space))
    if not saved(folder).any():
        weights()  # refused before there is a folder; a run that continues needs none

    def new_state() -> TrainState:
        state, start = init_state(init_key, recipe), weights()
        params = {**state.params, **start["params"]}
        if experiment.fit_classifier:
            params["classifier"] = _fitted_classifier(experiment, space, splits, params, folder)
        return state_of(recipe, params, {**state.batch_stats, **start["batch_stats"]})

    shapes = jax.eval_shape(lambda: init_state(init_key, recipe))
    with claim(folder, config, **same, records=run_records.RunRecords.of(space, splits).files()):
        batches = train_batches(experiment.data, splits.train, experiment.training.batch_size,
                                experiment.seed, space.resolution)
        batches.places = my_places(experiment.training.batch_size, experiment.training.accumulation)
        with continue_or_start(folder, shapes, new_state, batches) as run:
            print_plan(recipe, experiment.training.batch_size, f"{len(splits.train)} images",
                       run.start_step)
            trainer = Trainer(recipe, step_key)
            trainer.compile(shapes, batch_shapes(experiment, space), run.start_step, run.spending)
            return run.fit(
                trainer, place=trainer.place, total_steps=recipe.total, cadence=experiment.cadence,
                batch_size=experiment.training.batch_size, tracer=Tracer(traced, folder),
                evaluate=_validation(experiment, space, splits),
                peak_macs_per_second=peak_macs_per_second(experiment.training.dtype))


def _start(experiment: Experiment, space: SearchSpace) -> dict:
    """{"params", "batch_stats"} that replace those of random weights, as far as there are any."""
    teacher = getattr(experiment.method, "teacher", "")
    if not teacher:
        return initial_weights(experiment.init_from, space)
    if experiment.init_from:
        raise ValueError(f"init_from {experiment.init_from!r} and method.teacher {teacher!r} are "
                         f"both given; subnets start from their teacher, so leave init_from empty")
    return teacher_weights(teacher, space)


def _fitted_classifier(experiment: Experiment, space: SearchSpace, splits: Splits, params: dict,
                       folder: Path) -> dict:
    """A classifier fitted to the features of some of the networks that are reported.

    How it does alone is printed and kept in the folder.
    """
    data, settings = experiment.data, experiment.evaluation
    train = splits.train
    if len(train) > PROBED_IMAGES:
        train = split(train, PROBED_IMAGES, seed=0)[1]
    names = [experiment.subnet] if experiment.subnet else PROBED
    probe = fit_classifier(
        space, experiment.augment, params, [decode(space, name) for name in names],
        settings.calibration(data, splits.train, space.resolution),
        in_memory(squares(data, train, space.resolution), space.resolution), splits.class_names)
    print(f"classifier alone: top-1 {percent(probe.right / probe.images, probe.images)} of "
          f"{probe.images} training images, each left out of its fit ({names[-1]})", flush=True)
    told = {"subnet": names[-1], "images": probe.images, "top1": probe.right / probe.images}
    first_does(lambda: sealed.write(folder / PROBE, told))
    return probe.classifier


def _validation(experiment: Experiment, space: SearchSpace, splits: Splits) -> Callable | None:
    """What is measured on the way: the ends of the space, or the one subnet that is trained."""
    if not (experiment.cadence.evaluate_every and len(splits.validation)):
        return None
    meter = Meter(space, experiment.augment, experiment.data, experiment.evaluation, splits.train,
                  splits.validation)
    names = [experiment.subnet] if experiment.subnet else ["smallest", "largest"]
    return lambda _, state: {
        f"validation/{name}": meter(state.evaluated, decode(space, name))[0].top1 for name in names}


def may_differ(data: Data) -> tuple[str, ...]:
    """Fields that a continued run may change without changing its result.

    Batches are the same from both placements. But runs of an earlier version, which had images of
    many sizes resident, were trained on centre crops.
    """
    return tuple(name for name in MAY_DIFFER if not (data.resize and name == "data.placement"))


def batch_shapes(experiment: Experiment, space: SearchSpace) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of a training batch, over all devices of this process."""
    size = experiment.training.batch_size // jax.process_count()
    return {"image": jax.ShapeDtypeStruct((size, space.resolution, space.resolution, 3), "uint8"),
            "label": jax.ShapeDtypeStruct((size,), "int32"),
            "example": jax.ShapeDtypeStruct((size,), "int32")}


def check_batches(experiment: Experiment) -> None:
    """Raises ValueError unless every batch divides by the devices."""
    check_batch_size(experiment.training.batch_size, jax.device_count())
    check_batch_size(experiment.evaluation.batch_size)
    check_batch_size(experiment.evaluation.calibration_batch_size)


def check_parts(experiment: Experiment) -> None:
    """Raises ValueError unless a step's batch divides by its parts, and those by pairs."""
    size, parts = experiment.training.batch_size, experiment.training.accumulation
    devices = jax.device_count()
    at_once, rest = divmod(size, devices * max(parts, 1))
    if rest:
        on = "1 device" if devices == 1 else f"{devices} devices"
        raise ValueError(f"training.batch_size {size} does not divide by training.accumulation "
                         f"{parts} on {on}; use a multiple of {parts * devices}")
    if experiment.training.batch_norm == PER_DEVICE and at_once < 2:
        raise ValueError(f"training.batch_norm {PER_DEVICE!r} would see {at_once} image of a batch "
                         f"of {size} at once; use a training.batch_size of "
                         f"{2 * max(parts, 1) * devices} or more, or {SYNCHRONISED!r}")
    if experiment.augment.mixes and at_once % 2:
        raise ValueError(f"augment.mixup and augment.cutmix pair images, but a step sees {at_once} "
                         f"of the {size} of training.batch_size at once; use a multiple of "
                         f"{2 * max(parts, 1) * devices}")


def build(experiment: Experiment, kept: run_records.RunRecords | None = None,
          space: SearchSpace | None = None) -> tuple[SearchSpace, Splits]:
    """The search space and the data.

    Args:
      kept: Records of the run whose splits are taken; None draws them.
      space: The search space, where it is known; None builds the config's, with as many classes
        as the data has.

    Raises:
      ValueError: As `run_records.open_splits`.
    """
    resolution = (space or experiment.space.build(num_classes=2)).resolution
    splits = run_records.open_splits(experiment.data, resolution, kept)
    return space or experiment.space.build(len(splits.class_names)), splits


def build_recipe(experiment: Experiment, space: SearchSpace, train_images: int) -> Recipe:
    """The settings of the training step, for so many training images."""
    training = experiment.training
    steps_per_epoch = Order(train_images, training.batch_size, experiment.seed).steps_per_epoch
    total_steps = max(1, round(training.epochs * steps_per_epoch))
    return Recipe(
        space=space, method=experiment.method, optimizer=experiment.optimizer,
        total=total_steps, steps_per_epoch=steps_per_epoch,
        augment=experiment.augment, label_smoothing=training.label_smoothing,
        dropout_rate=training.dropout_rate, norm_momentum=training.norm_momentum,
        dtype=training.dtype, subnet=experiment.subnet or "largest",
        drop_connect_rate=training.drop_connect_rate, zero_scales=training.zero_scales,
        average_decay=training.average_decay, accumulation=training.accumulation,
        resolutions=training.resolutions, rate_tables=training.rate_tables,
        batch_norm=training.batch_norm)


def build_method(section: Mapping) -> Method:
    """The method that a section of a config names, with its fields replaced.

    Raises:
      ValueError: If the name or a field is unknown, or a field would make the name wrong.
    """
    if not isinstance(section, Mapping):
        raise ValueError(f"method is {section!r:.80}, not fields by name; give it some")
    given = {field: value for field, value in section.items() if value is not None}
    name = given.pop("name", "deps")
    base = named("method.name", name, METHODS, Method)
    if given.pop("distill", True) is False:  # of configs of earlier versions
        given.setdefault("loss", "hard")
    own = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}
    for field in base.fixed:
        if given.get(field, own[field]) != own[field]:
            raise ValueError(f"method.name {name!r} means {field} {own[field]}, the config sets "
                             f"{given[field]}; choose the method with --config FILE:{name}")
    return build_settings(type(base), {**own, **given}, "method")


def print_plan(recipe: Recipe, batch_size: int, examples: str, start_step: int) -> None:
    """Tells the steps of a run and when its phases begin.

    Args:
      examples: What it is trained on, such as "45000 images".
      start_step: Step at which it goes on; 0 in a new run.
    """
    plan = f"{recipe.total} steps of {batch_size} out of {examples}"
    for phase in recipe.phases[1:]:
        plan += f"; {phase.name}s from {phase.start}" + (phase.note and f", {phase.note}")
    if start_step:
        plan += f"; continuing at step {start_step}"
    if jax.default_backend() == "cpu":  # another width rounds otherwise
        plan += f"; vectors of {vector_bits()} bits"
    print(f"{recipe.method.name}: {plan}", flush=True)
