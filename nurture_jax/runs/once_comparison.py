"""One training for all phones beside students trained alone, at the same total cost, paired.

    FOLDER/config.json                         of the once-for-all training; another one is refused
    FOLDER/once/seed_N/                        the once-for-all training of a seed
    FOLDER/cut/SUBNET/seed_N/                  its networks, and test_errors.json of each
    FOLDER/alone/SUBNET/seed_N/                the same networks, each trained alone
    FOLDER/once_comparison.csv, .json, .md

The cost is that of `deps_jax.comparison`: multiply-adds of all forward and backward passes over all
frames. All networks that are trained alone together cost what the one training does, each as much
as the others; what is fitted once more at the end is not counted on either side. Both are as they
would be used: of a network that is trained alone the best of its validations is kept, of the one
training the last state. A stopped comparison goes on where it was, and several processes may share
the folder, as in `ablation`.
"""
from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deps_jax.common.compiled.freed import free_programs
from deps_jax.common.files import locks, sealed, workdir
from deps_jax.common.statistics.intervals import Number
from deps_jax.comparison.equal_cost import run_macs
from deps_jax.space import cost
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import largest
from deps_jax.space.subnet_text import decode, encode
from deps_jax.training.phases import BACKWARD, Phase, passes
from nurture_jax.clips import negatives
from nurture_jax.evaluation import uncertainty
from nurture_jax.measures import LABELS
from nurture_jax.network.backbone_weights import of_subnet
from nurture_jax.network.frame_cost import macs_behind
from nurture_jax.network.model import NurtureNet
from nurture_jax.network.scaling import Scaling
from nurture_jax.once_for_all import experiment as once
from nurture_jax.once_for_all.choose import backbone_macs
from nurture_jax.once_for_all.subnets import TrainedOnce, config_alone
from nurture_jax.runs.ablation import (
    ERRORS,
    Outcome,
    check_same,
    errors_of,
    estimates_on_test,
    tested_before,
)
from nurture_jax.training import experiment as alone
from nurture_jax.training import run_data

ONCE, ALONE = "once for all", "alone"
NAME = "once_comparison"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
      settings: Settings of the once-for-all training.
      config: Its config, whose seed is replaced.
      names: Names of the networks.
      macs: Multiply-adds of the backbone of each for a frame.
      behind: Those of what comes behind any of them.
      once_macs: Those of the once-for-all training, for each frame of its batches.
      steps_per_epoch: Steps of an epoch, in every training.
    """

    settings: once.OnceForAll
    config: Mapping
    names: tuple[str, ...]
    macs: Mapping[str, int]
    behind: int
    once_macs: float
    steps_per_epoch: int

    @classmethod
    def of(cls, config: Mapping, names: Sequence[str], folder: Path) -> Plan:
        """The plan; everything that can be refused is refused here.

        Args:
          config: Config of the once-for-all training.
          names: Names of the networks, as `subnet_text.decode` takes them.
          folder: A folder that is no run, for lists of problems that are long.

        Raises:
          ValueError: If a network is not of the space, or cannot be trained alone, a training is
            too short, or the one has a teacher.
        """
        settings = once.OnceForAll.from_dict(dict(config))
        if settings.teacher.run:
            raise ValueError(f"teacher.run {settings.teacher.run!r} would teach the one training "
                             f"alone, for nothing; leave it empty")
        space = settings.build_space()
        names = tuple(dict.fromkeys(encode(space, decode(space, name)) for name in names))
        if not names:
            raise ValueError("there are no networks to compare; give some, such as "
                             "smallest,largest")
        _, parts = run_data.read_data(settings.data, folder)
        scaling = Scaling.of(parts["train"])
        clips = negatives.clips_of_an_epoch(settings.negatives, len(parts["train"]))
        recipe = once.build_recipe(settings, scaling, clips)
        model = NurtureNet(settings.model, scaling, of_subnet(space, decode(space, names[0])))
        behind = macs_behind(model, settings.data.size)
        found = cls(
            settings, config, names, {name: backbone_macs(space, decode(space, name))
                                      for name in names}, behind,
            macs_of(recipe.phases, space, behind), recipe.steps_per_epoch)
        for name in names:
            found.check_alone(name, scaling, clips)
        return found

    def steps_alone(self, name: str) -> int:
        """Steps of a network that is trained alone."""
        each = (1 + BACKWARD) * (self.macs[name] + self.behind)
        return max(1, round(self.once_macs / len(self.names) / each))

    def config_alone(self, name: str, seed: int) -> dict:
        """Config of the training of a network alone."""
        config = copy.deepcopy(config_alone(self.config, self.settings.space, name))
        epochs = self.steps_alone(name) / self.steps_per_epoch
        return config | {"seed": seed, "training": {**config["training"], "epochs": epochs}}

    def check_alone(self, name: str, scaling: Scaling, clips: int) -> None:
        """Raises ValueError unless the network can be trained alone as it is."""
        space = self.settings.build_space()
        expected = of_subnet(space, decode(space, name))
        try:
            experiment = alone.Experiment.from_dict(self.config_alone(name, 0))
            module = alone.starting_backbone(experiment).module
            alone.build_recipe(experiment, scaling, module, clips)
        except ValueError as error:
            raise ValueError(f"network {name} cannot be trained alone: {error}") from error
        assert module == expected, name

    @cached_property
    def costs(self) -> dict[str, float]:
        """10^12 multiply-adds of each training: ONCE, the whole, and each alone by its name."""
        frames = self.settings.augment.frames or self.settings.data.frames
        images = min(frames, self.settings.data.frames) * self.settings.training.batch_size
        each = {name: self.steps_alone(name) * (1 + BACKWARD) * (self.macs[name] + self.behind)
                for name in self.names}
        return {name: images * macs / 1e12 for name, macs in
                ({ONCE: self.once_macs} | each).items()}


def macs_of(phases: Sequence[Phase], space: SearchSpace, behind: int) -> float:
    """Multiply-adds of the one training for each frame, neck and heads in place of a classifier."""
    network = largest(space)  # all of a space have the same classifier
    instead = behind - (cost.macs(layers(space, network)) - backbone_macs(space, network))
    return run_macs(phases, space) + instead * sum(
        (phase.stop - phase.start) * (float(passes(phase).sum()) + phase.needs_teacher)
        for phase in phases)


def compare(config: Mapping, folder: Path, names: Sequence[str], seeds: Sequence[int]
            ) -> tuple[Plan, list[Outcome]]:
    """Trains and tests both kinds with every seed, and writes the table.

    Args:
      config: Config of the once-for-all training.
      folder: Folder of all runs and of the table.
      names: Names of the networks.
      seeds: Seeds.

    Raises:
      ValueError: As `Plan.of`, if there are no seeds, or the folder is of another config.
    """
    if not seeds:
        raise ValueError("there are no seeds; give at least one")
    folder = Path(folder)
    workdir.check(folder, dict(config), may_differ=(*alone.MAY_DIFFER, "seed"),
                  meaning=once.meaning)
    plan, outcomes = Plan.of(config, names, folder / "once"), []
    folder.mkdir(parents=True, exist_ok=True)
    with locks.alone(folder, f"waiting for another process in {folder}"):
        workdir.claim(folder, dict(config), may_differ=(*alone.MAY_DIFFER, "seed"),
                      meaning=once.meaning)
    for seed in tqdm(seeds, desc="comparison", unit="seed"):
        run = folder / "once" / f"seed_{seed}"
        places = {name: Path(name.replace("/", "_")) / f"seed_{seed}" for name in plan.names}
        if any(tested_before(folder / "cut" / place) is None for place in places.values()):
            _train_once(run, {**config, "seed": seed})
        for name, place in places.items():
            cut = lambda to, run=run, name=name: TrainedOnce.open(run, plan.settings.data.dir).cut(
                name, to)
            own = plan.config_alone(name, seed)
            train = lambda to, own=own: alone.train(alone.Experiment.from_dict(own), to, own)
            outcomes += [
                _outcome(f"{name}, {ONCE}", seed, folder / "cut" / place, cut,
                         config_alone({**config, "seed": seed}, plan.settings.space, name)),
                _outcome(f"{name}, {ALONE}", seed, folder / "alone" / place, train, own)]
    write(folder, plan, outcomes)
    return plan, outcomes


def _train_once(run: Path, config: dict) -> None:
    run.mkdir(parents=True, exist_ok=True)
    with locks.alone(run, f"waiting for another process in {run}"):
        once.train(once.OnceForAll.from_dict(config), run, config)
        free_programs()


def _outcome(variant: str, seed: int, run: Path, make: Callable[[Path], object], config: dict
             ) -> Outcome:
    """Makes and tests the run of a config, or reads what was found before.

    Raises:
      ValueError: If the run that is there is of another config. How long a network is trained alone
        depends on how many are compared.
    """
    run.mkdir(parents=True, exist_ok=True)
    with locks.alone(run, f"waiting for another process in {run}"):
        workdir.check(run, config, may_differ=alone.MAY_DIFFER, meaning=alone.meaning)
        if (before := tested_before(run)) is not None:
            return before
        make(run)
        free_programs()
        found = errors_of(variant, seed, estimates_on_test(run))
        free_programs()
        sealed.write(run / ERRORS, sealed.finite(dataclasses.asdict(found)), indent=None)
        return found


def differences(plan: Plan, outcomes: Sequence[Outcome]) -> dict[str, dict[str, Number]]:
    """Error of each network out of the one training minus that of the same one alone.

    Of the same visits, with an interval for other infants and other seeds, see
    `uncertainty.difference_of_means`; by network and measure, negative is nearer.

    Raises:
      ValueError: If runs were tested on different visits.
    """
    found: dict[str, dict[str, Number]] = {}
    for name in plan.names:
        for measure in LABELS:
            ours, theirs = ([uncertainty.errors_by_visit(each.visits, measure) for each in outcomes
                             if each.variant == f"{name}, {kind}"] for kind in (ONCE, ALONE))
            check_same([*ours, *theirs], f"{name!r}")
            number = uncertainty.difference_of_runs(ours, theirs)
            if math.isfinite(number.value):
                found.setdefault(name, {})[measure] = number
    return found


def table(plan: Plan, outcomes: Sequence[Outcome]) -> str:
    """Markdown with a row for each network: errors of the weight, and what they differ by."""
    lines = ["| network | MMACs a frame | once for all, g | alone, g | difference, g (95 % "
             "interval) | length, cm | steps alone |", "| --- " * 7 + "|"]
    found = differences(plan, outcomes)
    for name in plan.names:
        cells = []
        for kind in (ONCE, ALONE):
            errors = np.array([each.mae["weight_g"] for each in outcomes
                               if each.variant == f"{name}, {kind}"])
            spread = f" ± {errors.std(ddof=1):.0f}" if len(errors) > 1 else ""
            cells.append(f"{errors.mean():.0f}{spread}")
        weight, length = (found[name].get(measure) for measure in ("weight_g", "length_cm"))
        cells += [weight.text("{:+.0f}".format) if weight else "",
                  length.text("{:+.2f}".format) if length else "", str(plan.steps_alone(name))]
        lines.append(f"| {name} | {(plan.macs[name] + plan.behind) / 1e6:.1f} | "
                     + " | ".join(cells) + " |")
    costs = plan.costs
    total = math.fsum(costs[name] for name in plan.names)
    return "\n".join([*lines, "", f"Cost: {costs[ONCE]:.2f} x 10^12 multiply-adds for all networks "
                      f"at once, {total:.2f} for the {len(plan.names)} alone together."])


def write(folder: Path, plan: Plan, outcomes: Sequence[Outcome]) -> None:
    """Writes the table as Markdown, every run as CSV, and both as JSON."""
    rows = [{"network": each.variant, "seed": each.seed,
             **{f"mae_{name}": value for name, value in each.mae.items()},
             "relative_error_percent": each.relative_error_percent} for each in outcomes]
    minus = {name: {measure: dataclasses.asdict(number) for measure, number in each.items()}
             for name, each in differences(plan, outcomes).items()}
    content = {"runs": rows, "once_minus_alone": minus, "teramacs": plan.costs,
               "steps_alone": {name: plan.steps_alone(name) for name in plan.names}}
    for suffix, data in (("csv", sealed.rows(rows)), ("md", table(plan, outcomes) + "\n"),
                         ("json", json.dumps(sealed.finite(content), indent=1) + "\n")):
        sealed.replace(folder / f"{NAME}.{suffix}", data)
