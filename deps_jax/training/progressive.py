"""Progressive shrinking: OFA (arXiv 1908.09791) and CompOFA (arXiv 2104.12642).

The full model is trained first and frozen as the teacher. Then sampled subnets train, from a part
of the space that grows; each opening is a run of its own in the published recipes: its own cosine
and warm-up, no momentum of the one before. They are laid over a run by parts: an opening takes its
part of the epochs, and its rate is that part of the run's peak which it is of the teacher's.
"""
from __future__ import annotations

import dataclasses

import optax

from deps_jax.common.loop.optim import base_schedule
from deps_jax.space.search_space import AXES, SearchSpace
from deps_jax.training.losses import Hard
from deps_jax.training.method import Method
from deps_jax.training.phases import FROZEN, Phase, Plan, Slot
from deps_jax.training.samplers import Named, Opened, Sampler, Uniform

PEAK = 2.6  # of the teacher, for 2048 images a step
WARMUP = 1 / 32  # of an opening's peak at the start of its warm-up (base_lr, unscaled by 32 GPUs)


@dataclasses.dataclass(frozen=True)
class Opening:
    """A phase of sampled subnets.

    Attributes:
      name: Name in logs.
      axis: Axis of the space (see AXES) that it opens; "" opens none in particular.
      epochs: Published length in epochs, warm-up included.
      learning_rate: Published peak rate, for 2048 images a step.
      warmup_epochs: The part of `epochs` in which the rate rises.
      subnets_per_step: Number of subnets that a step trains; 0 takes the method's number.
      depths, kernels, expands, widths: How many of the largest values are open; 0 opens all.
      protected: Argument of `channel_sorting.sort_channels`, which sorts the channels before the
        first step; None does not sort.
    """

    name: str
    axis: str = ""
    epochs: float = 0.0
    learning_rate: float = 0.0
    warmup_epochs: float = 0.0
    subnets_per_step: int = 0
    depths: int = 0
    kernels: int = 0
    expands: int = 0
    widths: int = 0
    protected: int | None = None

    def concerns(self, space: SearchSpace) -> bool:
        """Whether the space has a choice that this opening opens; widths are the stem's, too."""
        offered = space.offered(self.axis) if self.axis else ()
        stem = (space.stem_widths,) if self.axis == "widths" else ()
        return not self.axis or any(len(values) > 1 for values in (*offered, *stem))

    def sampler(self) -> Sampler:
        """A sampler that draws from the part that is open."""
        return Opened(**{name: getattr(self, name) for name in AXES})


@dataclasses.dataclass(frozen=True)
class Progressive(Method):
    """The full model, frozen as teacher, then openings of the space.

    Attributes:
      teacher_epochs: Published length of the full model's training, in epochs; not used where a
        teacher is given.
      teacher: Run folder, PyTorch checkpoint or npz of the same space and classes. Its full model
        teaches, and the subnets start from it. "" trains a teacher first.
      openings: The phases after the teacher's. One of an axis that the space does not have is left
        out. Another sampling than "uniform" draws from the whole space in all of them.
    """

    loss: str = "soft_and_hard"
    teacher: str = ""
    teacher_epochs: float = 180.0
    openings: tuple[Opening, ...] = ()

    def phases(self, plan: Plan) -> tuple[Phase, ...]:
        """The teacher's steps, then those of every opening."""
        openings = [opening for opening in self.openings if opening.concerns(plan.space)]
        lengths = [0 if self.teacher else self.teacher_epochs,
                   *(opening.epochs for opening in openings)]
        ends = [round(plan.total * sum(lengths[:i + 1]) / sum(lengths))
                for i in range(len(lengths))]
        shorter = plan.total / plan.steps_per_epoch / sum(lengths)  # than the published recipe
        full = Slot("largest", Named("largest"), Hard(), dropout=True)
        own = dataclasses.replace(plan, total=max(1, ends[0])).learning_rate
        found = [Phase("teacher step", 0, ends[0], (full,), own)] if ends[0] else []
        for i, (opening, start, stop) in enumerate(zip(openings, ends, ends[1:], strict=False)):
            if stop == start:
                raise ValueError(f"the opening {opening.name!r} of method {self.name!r} has no "
                                 f"step in a run of {plan.total}; train longer")
            found.append(Phase(
                f"{opening.name} step", start, stop, self._slots(opening),
                self._rate(plan, opening, start, stop, shorter), teacher=FROZEN,
                sort_channels=opening.protected is not None, protected=opening.protected,
                freeze=i == 0 and not self.teacher, restart=True))
        return tuple(found)

    def _slots(self, opening: Opening) -> tuple[Slot, ...]:
        sampler = opening.sampler() if isinstance(self.sampler, Uniform) else self.sampler
        return tuple(
            Slot(f"sampled_{i + 1}", sampler, self.subnet_loss, weight=self.subnet_weight,
                 dropout=True)
            for i in range(opening.subnets_per_step or self.subnets_per_step))

    def _rate(self, plan: Plan, opening: Opening, start: int, stop: int,
              shorter: float) -> optax.Schedule:
        """A cosine over the opening's own steps, after its warm-up and without a floor."""
        peak = plan.optimizer.learning_rate * opening.learning_rate / PEAK
        optimizer = dataclasses.replace(
            plan.optimizer, learning_rate=peak, min_learning_rate=0.0, schedule="cosine",
            warmup_epochs=opening.warmup_epochs * shorter, warmup_learning_rate=WARMUP * peak)
        schedule = base_schedule(optimizer, stop - start, plan.steps_per_epoch)
        return lambda step: schedule(step - start)
