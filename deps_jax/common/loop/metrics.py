"""Averages as (sum, count), the form that is right over uneven batches and several devices."""
from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct


@struct.dataclass
class Mean:
    """The mean of some values, kept as two numbers that can be added to those of others.

    Attributes:
      sum: Sum of the values, [] float32, or float64 for values in float64.
      count: Number of values, of the same shape and type.
    """

    sum: jax.Array
    count: jax.Array

    @classmethod
    def of(cls, values: jax.Array, mask: jax.Array | None = None) -> Mean:
        """The mean of all `values`, or of those where `mask` (same shape) is 1."""
        values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
        if mask is None:
            return cls(values.sum(), jnp.asarray(values.size, values.dtype))
        assert values.shape == mask.shape, (values.shape, mask.shape)
        mask = mask.astype(values.dtype)
        return cls((values * mask).sum(), mask.sum())

    def merge(self, other: Mean) -> Mean:
        """The mean of the values of both."""
        return Mean(self.sum + other.sum, self.count + other.count)

    def compute(self) -> float:
        """The mean; nan when nothing was counted."""
        return float(self.sum) / float(self.count) if float(self.count) else float("nan")


def merge(first: dict[str, Mean], second: dict[str, Mean]) -> dict[str, Mean]:
    """Two sets of means as one; a name may be missing on either side."""
    return {
        name: first[name].merge(second[name]) if name in first and name in second
        else first.get(name) or second[name]
        for name in {**first, **second}
    }


def compute(means: dict[str, Mean]) -> dict[str, float]:
    """The values of a set of means, brought from the device at once."""
    return {name: mean.compute() for name, mean in jax.device_get(means).items()}


def counted(means: dict[str, Mean]) -> dict[str, Mean]:
    """The means for which something was counted: not that of a label that a batch lacks."""
    return {name: mean for name, mean in means.items() if float(mean.count)}
