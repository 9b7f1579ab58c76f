"""What was seen and the numbers of the table, joined to the measures and their uncertainty.

    pooled b c, sizes b g, tabular b 4 -> mean, log scale of each measure b m

A module of its own, since `refit` trains it on after the rest.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from deps_jax.common.loop.parallel import Tree
from deps_jax.common.nn.precision import EXACT
from nurture_jax.measures import TABULAR
from nurture_jax.network.scaling import Scaling

# A few numbers of every clip are all that measures are made of: to round them would save nothing.
ExactDense = partial(nn.Dense, precision=EXACT)


class Fusions(nn.Module):
    """The mean of what several `Fusion` say, which are fitted apart from each other.

    Each has noise of its own that few visits leave in it (Breiman 1996, "Bagging predictors"; here
    all see the same visits, and differ by their first weights and their draws).

    Attributes:
      members: How many.
      make: Makes the one of a name.
    """

    members: int
    make: Callable[[str], Fusion]

    @nn.compact
    def __call__(self, *seen: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        """As of `Fusion`."""
        said = [self.make(_name(i))(*seen) for i in range(self.members)]
        return tuple(sum(parts) / self.members for parts in zip(*said, strict=True))


def members_of(params: Mapping) -> list[Tree]:
    """Weights of every `Fusion` in those of a `Fusions`; those of a `Fusion` are the only ones."""
    if _name(0) not in params:
        return [params]
    return [params[_name(i)] for i in range(len(params))]


def joined(members: Sequence[Tree]) -> Tree:
    """The inverse of `members_of`."""
    return members[0] if len(members) == 1 else {_name(i): one for i, one in enumerate(members)}


def _name(index: int) -> str:
    return f"member{index}"


class Fusion(nn.Module):
    """Two hidden layers, and a linear path for the sizes.

    Attributes:
      use_tabular, tabular_width, hidden_width, predict_gain: See `model.ModelSettings`.
      scaling: Numbers of the training split that inputs and measures are scaled with.
    """

    use_tabular: bool
    tabular_width: int
    hidden_width: int
    predict_gain: bool
    scaling: Scaling

    @nn.compact
    def __call__(self, pooled: jax.Array | None, sizes: jax.Array | None, tabular: jax.Array,
                 tabular_mask: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Measures of unit scale and the logarithms of their scales, [b, m] of `scaling.labels`.

        Args:
          pooled, sizes: What the frames show, [b, c] and [b, g], see `model.Seen`; None where there
            are none.
          tabular, tabular_mask: Inputs and which of them are known, [b, 4], in the units of
            `clip_batches`.
        """
        parts = [part for part in (pooled, sizes) if part is not None]
        if self.use_tabular:
            parts.append(Tabular(self.tabular_width, name="tabular")(
                self.scaling.inputs(tabular, tabular_mask), tabular_mask))
        x = jnp.concatenate(parts, -1)
        x = nn.relu(ExactDense(self.hidden_width, name="fuse1")(x))
        x = nn.relu(ExactDense(self.hidden_width, name="fuse2")(x))
        return self._measures(x, sizes, tabular[:, :1], tabular_mask[:, :1])

    def _measures(self, x: jax.Array, sizes: jax.Array | None, birth_weight_g: jax.Array,
                  is_known: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The last layer; its last output is the gain since birth, of its own unit scale.

        Args:
          x: Hidden features, [b, c].
          birth_weight_g, is_known: Weight at birth and whether it is known, [b, 1] each.
        """
        measures = len(self.scaling.labels)
        width = 2 * (measures + 1)
        raw = ExactDense(width, kernel_init=nn.initializers.normal(0.01), name="measures")(x)
        if sizes is not None:  # logarithms of sizes add up to those of measures
            raw = raw + ExactDense(width, use_bias=False, kernel_init=nn.initializers.zeros,
                                 name="from_sizes")(sizes)
        mean, log_scale = jnp.split(raw, 2, -1)  # b m+1
        if not self.predict_gain:
            return mean[:, :-1], log_scale[:, :-1]
        known = jnp.concatenate([is_known, jnp.zeros((x.shape[0], measures - 1))], -1)
        gained, shift = self.scaling.from_gain(mean[:, -1:], birth_weight_g, is_known)
        return (jnp.where(known > 0, gained, mean[:, :-1]),
                jnp.where(known > 0, log_scale[:, -1:] + shift, log_scale[:, :-1]))


class Tabular(nn.Module):
    """Standardised numbers to a vector, [b, n] -> [b, d]; each has an embedding for "missing"."""

    width: int

    @nn.compact
    def __call__(self, values: jax.Array, mask: jax.Array) -> jax.Array:
        chex.assert_shape([values, mask], (values.shape[0], len(TABULAR)))
        shape, draw = (len(TABULAR), self.width), nn.initializers.normal(1.0)
        slope, offset, missing = (self.param(name, draw, shape)
                                  for name in ("slope", "offset", "missing"))
        present = nn.relu(values[..., None] * slope[None] + offset[None])  # b n d
        x = jnp.where(mask[..., None] > 0, present, missing[None])
        return nn.relu(ExactDense(self.width, name="mix")(x.reshape(x.shape[0], -1)))
