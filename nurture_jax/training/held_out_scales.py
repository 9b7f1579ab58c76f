"""Scales of the estimates, fitted to visits that the weights were not learnt from.

A network has learnt the visits that its scales are learnt beside: it errs less on them than on any
others, and knows too well on which it errs. So for every measure a logarithm of the scale becomes

    stretch * logarithm + shift

with the two numbers that make the errors on the validation split most likely. Calibration of the
intervals mends the level of the scales alone, not which visits have large ones. Fitting a line to
what a trained network says of its own uncertainty is temperature scaling (Guo et al. 2017, "On
calibration of modern neural networks") brought to scales. The numbers go into the weights of the
last layer: there is nothing more to keep, to export or to apply, and no estimate moves.
"""
from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from deps_jax.common.loop.parallel import Tree
from nurture_jax.clips.clip_batches import ClipSource
from nurture_jax.network.fusion import joined, members_of
from nurture_jax.training.losses import laplace
from nurture_jax.training.refit import observed
from nurture_jax.training.train import Recipe, TrainState, judged

# Of stretch and shift about 1 and 0: about what four visits tell, so that a handful changes little.
PRIOR_SPREAD = 0.5
STEPS = 100  # of L-BFGS; after 30 nothing changed in the network that was looked at
_TABLE = ("tabular", "tabular_mask")


def rescale(recipe: Recipe, state: TrainState, source: ClipSource, batch_size: int) -> TrainState:
    """The state with other scales, and the same estimates.

    Args:
      source: Clips of the validation split.
      batch_size: Number of clips that are looked at together.
    """
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    seen = with_and_without_table(observed(recipe, variables, source, batch_size))
    lines = jax.jit(partial(fit, recipe))(state.params["fusion"], seen)
    return state.replace(params={**state.params, "fusion": applied(state.params["fusion"], lines)})


def with_and_without_table(seen: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every visit twice, with what is known of it and with no number of the table; [2 n, ...].

    So the output for the weight and that for the gain since birth both have visits. A weight that
    is the birth weight is no evidence where that is told, and is where it is not.

    Args:
      seen: Arrays of `refit.observed`, [n, ...].
    """
    less = {**seen, **{name: np.zeros_like(seen[name]) for name in _TABLE}}
    whole = {**seen, "labels_mask": judged(seen)}
    return {name: np.concatenate([whole[name], less[name]]) for name in seen}


def fit(recipe: Recipe, params: Tree, seen: Mapping[str, jax.Array]) -> jax.Array:
    """Stretch and shift of every output, [2, m + 1] float32, the gain last; pure.

    The likelihood is that of `losses.laplace`: with the prior it has one maximum, as long as no
    scale is clipped.

    Args:
      params: Weights of `fusion`.
      seen: What `with_and_without_table` gives.
    """
    scaling = recipe.model.scaling
    fusion = recipe.model.settings.fusion(scaling)
    target = scaling.targets(seen["labels"], seen["labels_mask"])
    mask = scaling.mask_of(seen["labels_mask"]) / 2  # every visit is there twice
    usual = jnp.stack([jnp.ones(len(scaling.labels) + 1), jnp.zeros(len(scaling.labels) + 1)])

    def unlikely(lines: jax.Array) -> jax.Array:
        mean, log_scale = fusion.apply(
            {"params": applied(params, lines)}, seen.get("pooled"), seen.get("sizes"),
            seen["tabular"], seen["tabular_mask"])
        prior = jnp.square((lines - usual) / PRIOR_SPREAD).sum() / 2
        return (jnp.where(mask > 0, laplace(mean, log_scale, target), 0) * mask).sum() + prior

    solver = optax.lbfgs()
    value_and_slope = optax.value_and_grad_from_state(unlikely)

    def step(carry: tuple[jax.Array, Tree], _: None) -> tuple[tuple[jax.Array, Tree], None]:
        lines, state = carry
        value, slope = value_and_slope(lines, state=state)
        updates, state = solver.update(slope, state, lines, value=value, grad=slope,
                                       value_fn=unlikely)
        return (optax.apply_updates(lines, updates), state), None

    return jax.lax.scan(step, (usual, solver.init(usual)), None, length=STEPS)[0][0]


def applied(params: Tree, lines: jax.Array) -> Tree:
    """Weights of `fusion` whose logarithms of scales are those of `params` on these lines.

    Args:
      lines: Stretch and shift of every output, [2, m + 1].
    """
    outputs = lines.shape[1]  # the last layer has so many means, then so many scales
    stretch, shift = (jnp.concatenate([first, row]) for first, row in zip(
        (jnp.ones(outputs), jnp.zeros(outputs)), lines, strict=True))

    def of_one(params: Tree) -> Tree:
        last = params["measures"]
        changed = {"measures": {"kernel": last["kernel"] * stretch[None],
                                "bias": last["bias"] * stretch + shift}}
        if "from_sizes" in params:
            changed["from_sizes"] = {"kernel": params["from_sizes"]["kernel"] * stretch[None]}
        return {**params, **changed}

    return joined([of_one(member) for member in members_of(params)])
