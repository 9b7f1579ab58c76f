"""The best weights of a run: validated, kept, and fitted once more at the end.

    WORKDIR/best/         weights of the smallest validation error of the weight
    WORKDIR/refit.json    errors after the second fit of the last layers; says that it was done
"""
from __future__ import annotations

import math
from pathlib import Path

import jax

from deps_jax.common.files import sealed
from deps_jax.common.loop import writer
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.parallel import Tree
from deps_jax.common.processes.together import as_first, first_does
from nurture_jax.clips.clip_batches import ClipSource, eval_batches
from nurture_jax.network.model import NurtureNet, zero_inputs
from nurture_jax.training.distillation import own
from nurture_jax.training.held_out_scales import rescale
from nurture_jax.training.refit import Refit, refit
from nurture_jax.training.train import Recipe, TrainState, Validator

BEST = "best"
REFIT = "refit.json"
_JUDGED_BY = "mae_weight_g"


class Best:
    """Validates, and keeps the weights of the smallest error of the weight.

    Attributes:
      source: Clips of the validation split.
      errors: Errors of the weights that are kept, by "mae_LABEL"; empty before the first.
      latest_step: The step that this process has validated last; None before the first.
    """

    def __init__(self, folder: Path, validator: Validator, source: ClipSource,
                 batch_size: int) -> None:
        self.folder, self.batch_size = Path(folder), batch_size
        self._checkpoints = Checkpoints(self.folder / BEST)
        self._validator, self.source = validator, source
        self.errors = self._checkpoints.record()
        self.latest_step = None

    def __call__(self, step: int, state: TrainState) -> dict[str, float]:
        """Validates; the errors as "validation/mae_LABEL", without those that no visit has.

        Args:
          step: Number of the step that the state comes after.
        """
        self.latest_step = step
        errors = self._validator(state, eval_batches(self.source, self.batch_size))
        errors = as_first({name: value for name, value in errors.items() if math.isfinite(value)})
        if errors.get(_JUDGED_BY, math.inf) < self.errors.get(_JUDGED_BY, math.inf):
            self._checkpoints.save(step, {"params": own(state.params),
                                          "batch_stats": state.batch_stats}, record=errors)
            self.errors = errors
        return {f"validation/{name}": value for name, value in errors.items()}

    def has_judged(self, step: int) -> bool:
        """Whether the state after `step` steps was validated, here or, by the metrics, before.

        A process may have ended between the last checkpoint and the validation that comes after.
        """
        before = any(line["step"] == step and f"validation/{_JUDGED_BY}" in line
                     for line in writer.read(self.folder))
        return self.latest_step == step or bool(as_first({"judged": before})["judged"])


def read_weights(folder: Path, model: NurtureNet, frames: int, size: int
                 ) -> tuple[Tree, Checkpoints]:
    """The weights that a run has kept, and the checkpoints that they are of.

    Args:
      folder: Folder of the run.
      model: Its network.
      frames, size: Number of frames of its clips, and their side in pixels.

    Raises:
      ValueError: If nothing was kept yet, or it is of another network.
    """
    inputs = zero_inputs(frames, size, size)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), *inputs))
    checkpoints = Checkpoints(Path(folder) / BEST)
    return checkpoints.restore_state({"batch_stats": {}, **shapes}), checkpoints


def refit_once(settings: Refit, recipe: Recipe, state: TrainState, source: ClipSource, best: Best,
               key: jax.Array) -> dict[str, float]:
    """Fits the last layers once more, unless that was done; they are kept if they are the best.

    Args:
      state: The state after the last step.
      source: Clips of the training split, as they are seen in use.
      best: What validates and keeps them.
      key: Key that the visits are shuffled with.

    Returns:
      The errors as "validation/mae_LABEL".
    """
    errors = _refitted(best)
    if errors is None:
        state = refit(settings, recipe, state, source, best.batch_size, key)
        if settings.held_out_scales:
            state = rescale(recipe, state, best.source, best.batch_size)
        errors = best(recipe.total_steps + 1, state)
        first_does(lambda: sealed.write(best.folder / REFIT, errors))
    return errors


def _refitted(best: Best) -> dict[str, float] | None:
    """Errors of the second fit; None where it has to be done.

    It has to be done again where its weights were the best and are no longer there.
    """
    path = best.folder / REFIT
    if not path.is_file():
        return None
    try:
        errors = sealed.read(path, "the last layers are fitted again")
    except ValueError as error:
        sealed.tell(str(error))
        return None
    lost = errors.get(f"validation/{_JUDGED_BY}", math.inf) < best.errors.get(_JUDGED_BY, math.inf)
    return None if lost else errors
