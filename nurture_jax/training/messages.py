"""What a training tells: visits that cannot be used, the plan, the errors in the end."""
from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import jax

from deps_jax.common.files import sealed
from nurture_jax import records
from nurture_jax.clips.clip_batches import ClipSource
from nurture_jax.measures import LABELS, MEASURES
from nurture_jax.network.scaling import FEWEST
from nurture_jax.records.problems import LeftOut
from nurture_jax.training.distillation import own
from nurture_jax.training.train import Recipe, TrainState

RECORDS = "records.txt"


def summary(errors: dict[str, float]) -> str:
    """The errors of every measure as a small table."""
    lines = [f"{'validation':<12}{'mean absolute error':>20}"]
    for name in LABELS:
        value = errors.get(f"mae_{name}")
        shown = "no label" if value is None else MEASURES[name].error(value)
        lines.append(f"{name.rsplit('_', 1)[0]:<12}{shown:>20}")
    return "\n".join(lines)


def tell_left_out(folder: Path, found: records.Records, undecodable: tuple[LeftOut, ...]) -> None:
    """Tells the visits without a usable video: all in `records.txt`, the first on the screen.

    A length of reference objects that is taken, as the table does not say it, is told, too.
    """
    left_out = (*found.left_out, *undecodable)
    tell = lambda shown: records.describe(found.folder, len(found) - len(undecodable),
                                          len(found) + len(found.left_out), left_out, shown)
    taken = records.assumed(found.visits)
    sealed.replace(folder / RECORDS, "\n".join([tell(None), *taken]) + "\n")
    print(*taken, sep="\n", end="\n" if taken else "", flush=True)
    if left_out:
        print(f"{tell(5)}\nlist: {folder / RECORDS}", flush=True)


def print_plan(recipe: Recipe, sources: Mapping[str, ClipSource], batch_size: int, others: int,
               shapes: TrainState, start_step: int) -> None:
    """Tells how much is trained on; `others` of the clips of an epoch are none of newborns."""
    counts = ", ".join(f"{len(source)} {name}" for name, source in sources.items())
    weights = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(own(shapes.params)))
    counts += f", {others} other" if others else ""
    scaling = recipe.model.scaling
    for name, mean in zip(scaling.labels, scaling.label_mean, strict=True):
        if math.isnan(mean):
            print(f"{name} was never measured in training (fewer than {FEWEST} visits have it): "
                  f"it is not estimated", flush=True)
    print(f"{counts} clips; {weights / 1e6:.2f} million weights; {recipe.total_steps} steps of "
          f"{batch_size}"
          + (f"; continuing at step {start_step}" if start_step else ""), flush=True)
