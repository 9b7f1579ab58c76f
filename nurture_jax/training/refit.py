"""The last layers fitted once more, to clips as they are seen in use.

In training a clip is zoomed, recoloured and cut to a few frames, and batch norm reads the batch:
its sizes are noisier than those of a whole clip in use, and a regression on noisy inputs shrinks.
So when the rest has been trained, what it says of the whole training clips is computed once, and
`fusion` is trained on alone. That features are learnt first and their use afterwards is the idea
of Kang et al. 2020 (arXiv 1910.09217); its use for regression on measured sizes is ours.

The network has learnt the training clips and measures them better than any others, so a fit to
what it says of them trusts the sizes too far. Noise on the sizes that fades to none keeps it from
that (Bishop 1995, "Training with noise is equivalent to Tikhonov regularization").
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from deps_jax.common.loop.parallel import Tree
from nurture_jax.clips.clip_augment import Batch, forget
from nurture_jax.clips.clip_batches import ClipSource, eval_batches
from nurture_jax.network.fusion import joined, members_of
from nurture_jax.network.model import Outputs, forward
from nurture_jax.training.losses import total_loss
from nurture_jax.training.train import Recipe, TrainState

LEAST_SPREAD = 1e-3  # of a size; what never changes says nothing
_TABLE = ("tabular", "tabular_mask", "labels", "labels_mask")


@dataclasses.dataclass(frozen=True)
class Refit:
    """How the last layers are fitted once more, with AdamW and a cosine to 0.

    Attributes:
      epochs: Number of passes over the training visits; 0 leaves the fit out.
      learning_rate: Learning rate of the first step.
      weight_decay: Decay of AdamW; high, since there are as many weights as visits.
      batch_size: Number of visits in a step; all of them where there are fewer.
      noise: Standard deviation of the noise on every size in the first step, in its own standard
        deviations over the visits; it falls to 0 in a straight line. None in runs that do not
        tell.
      held_out_scales: Whether scales are fitted to the validation split then, see
        `held_out_scales`; where earlier weights are better and kept, they keep their scales. Not
        in runs that do not tell.

    Raises:
      ValueError: If a setting is out of its range.
    """

    epochs: int = 60
    learning_rate: float = 3e-3
    weight_decay: float = 1.0
    batch_size: int = 64
    noise: float = 0.0
    held_out_scales: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_size < 1:
            raise ValueError(f"refit.epochs {self.epochs} must be 0 or more and refit.batch_size "
                             f"{self.batch_size} 1 or more")
        if self.learning_rate <= 0 or self.weight_decay < 0:
            raise ValueError(f"refit.learning_rate {self.learning_rate} must be above 0 and "
                             f"refit.weight_decay {self.weight_decay} 0 or more")
        if not 0 <= self.noise <= 10:
            raise ValueError(f"refit.noise {self.noise} is not 0 to 10 standard deviations; use "
                             f"1.5, or 0 for none")


def refit(settings: Refit, recipe: Recipe, state: TrainState, source: ClipSource,
          batch_size: int, key: jax.Array) -> TrainState:
    """The state with other weights of `fusion`, from the clips of the training split.

    The same state, clips and key give the same weights.

    Args:
      source: Clips of the training split, as they are seen in use.
      batch_size: Number of clips that are looked at together.
    """
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    seen = observed(recipe, variables, source, batch_size)
    fitted = jax.jit(partial(fit, settings, recipe))(state.params["fusion"], seen, key)
    return state.replace(params={**state.params, "fusion": fitted})


def observed(recipe: Recipe, variables: Tree, source: ClipSource, batch_size: int
             ) -> dict[str, np.ndarray]:
    """What `fusion` takes and should give for every visit, as arrays [n, ...] by name.

    Args:
      variables: Weights and running statistics of the network, {"params", "batch_stats"}.

    Returns:
      "tabular", "tabular_mask", "labels", "labels_mask" of `clip_batches`, and as far as the
      network has them, "pooled" and "sizes" of `model.Seen`.
    """
    @jax.jit
    def look(variables: Tree, batch: Batch) -> dict[str, jax.Array]:
        outputs = forward(recipe.model, variables, recipe.augment.in_use, batch, heads=False)
        found = {"pooled": outputs.pooled, "sizes": outputs.sizes}
        return {name: value for name, value in found.items() if value is not None}

    found = []
    for batch in eval_batches(source, batch_size):
        arrays = {name: batch[name] for name in ("frames", "reference_cm", *_TABLE)}
        real = batch["example_mask"] > 0
        seen = look(variables, arrays) | {name: batch[name] for name in _TABLE}
        found.append({name: np.asarray(value)[real] for name, value in seen.items()})
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def fit(settings: Refit, recipe: Recipe, params: Tree, seen: Batch, key: jax.Array) -> Tree:
    """Weights of `fusion` after all epochs, each of its members with draws of its own; pure.

    Args:
      params: Its weights before.
      seen: What `observed` gives.
      key: Key that the visits are shuffled with, their inputs forgotten and their sizes disturbed.
    """
    members = members_of(params)
    if len(members) == 1:
        return fit_one(settings, recipe, params, seen, key)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    fitted = jax.vmap(lambda params, key: fit_one(settings, recipe, params, seen, key))(
        stacked, jax.random.split(key, len(members)))
    return joined([jax.tree.map(lambda leaf, i=i: leaf[i], fitted) for i in range(len(members))])


def fit_one(settings: Refit, recipe: Recipe, params: Tree, seen: Batch, key: jax.Array) -> Tree:
    """Weights of one member after all epochs; arguments as of `fit`."""
    count = len(seen["labels"])
    size = min(settings.batch_size, count)
    steps = count // size
    total = steps * settings.epochs
    fusion = recipe.model.settings.one_fusion(recipe.model.scaling)
    transform = optax.adamw(optax.cosine_decay_schedule(settings.learning_rate, total),
                            weight_decay=settings.weight_decay, mask=decayed)

    def loss(params: Tree, batch: Batch) -> jax.Array:
        outputs = Outputs(*fusion.apply(
            {"params": params}, batch.get("pooled"), batch.get("sizes"), batch["tabular"],
            batch["tabular_mask"]))
        return total_loss(recipe.losses, recipe.model.scaling, outputs, batch)[0]

    def step(carry: tuple[Tree, Tree], chosen: tuple[jax.Array, jax.Array, jax.Array]
             ) -> tuple[tuple[Tree, Tree], None]:
        (params, opt_state), (number, rows, key) = carry, chosen
        batch = {name: value[rows] for name, value in seen.items()}
        if recipe.augment.forgets:  # else what stands for "missing" is unlearnt on a full table
            batch |= forget(jax.random.split(key, size), batch, recipe.augment)
        if settings.noise and "sizes" in batch:
            noise = settings.noise * (1 - number / total)
            batch["sizes"] += noise * jax.random.normal(
                jax.random.fold_in(key, size), batch["sizes"].shape)
        gradient = jax.grad(loss)(params, batch)
        updates, opt_state = transform.update(gradient, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    def epoch(carry: tuple[Tree, Tree], chosen: tuple[jax.Array, jax.Array]
              ) -> tuple[tuple[Tree, Tree], None]:
        number, key = chosen
        rows = jax.random.permutation(key, count)[:steps * size].reshape(steps, size)
        keys = jax.random.split(jax.random.fold_in(key, 1), steps)
        return jax.lax.scan(step, carry, (number * steps + jnp.arange(steps), rows, keys))[0], None

    seen, params, back = on_unit_scale(jax.tree.map(jnp.asarray, dict(seen)), params)
    keys = jax.random.split(key, settings.epochs)
    carry = params, transform.init(params)
    return back(jax.lax.scan(epoch, carry, (jnp.arange(settings.epochs), keys))[0][0])


def on_unit_scale(seen: Batch, params: Tree) -> tuple[Batch, Tree, Callable[[Tree], Tree]]:
    """Sizes of mean 0 and standard deviation 1, and weights of a member that make the same of them.

    Sizes differ by less than they are; a layer on them as they are learns its constant first.

    Returns:
      Both, and what brings such weights back to sizes as they are. Without sizes nothing changes.
    """
    if "sizes" not in seen:
        return seen, params, lambda params: params
    sizes = seen["sizes"]
    mean, spread = sizes.mean(0), sizes.std(0) + LEAST_SPREAD
    start = seen["pooled"].shape[1] if "pooled" in seen else 0
    own = slice(start, start + sizes.shape[1])  # rows of the sizes in the first layer

    def rescaled(params: Tree, mean: jax.Array, spread: jax.Array) -> Tree:
        first, direct, last = (params[name] for name in ("fuse1", "from_sizes", "measures"))
        moved = {
            "fuse1": {"kernel": first["kernel"].at[own].multiply(spread[:, None]),
                      "bias": first["bias"] + mean @ first["kernel"][own]},
            "from_sizes": {"kernel": direct["kernel"] * spread[:, None]},
            "measures": {**last, "bias": last["bias"] + mean @ direct["kernel"]}}
        return {**params, **moved}

    return ({**seen, "sizes": (sizes - mean[None]) / spread[None]}, rescaled(params, mean, spread),
            lambda params: rescaled(params, -mean / spread, 1 / spread))


def decayed(params: Tree) -> Tree:
    """A tree of booleans: False for biases and what stands for a number, which decay spares.

    A decay to 0 would bring scales to one standard deviation, and what is missing to nothing.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1].key not in ("bias", "missing", "offset"), params)
