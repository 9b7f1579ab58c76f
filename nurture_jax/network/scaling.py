"""Numbers that bring inputs and measures to unit scale, from the training split alone.

Measures and the birth weight are taken by their logarithms: a body grows, and a camera scales, by
factors, and errors are judged relative to the infant.
"""
from __future__ import annotations

import dataclasses
import math
from types import ModuleType

import chex
import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.command.settings import build_settings
from nurture_jax.measures import DEFAULT_REFERENCE_CM, FORMER_LABELS, LABELS, TABULAR
from nurture_jax.records.visit import tabular_of
from nurture_jax.records.visits import Records

Array = jax.Array | np.ndarray
_WEIGHT, _BIRTH_WEIGHT = LABELS.index("weight_g"), TABULAR.index("birth_weight_g")
FEWEST = 2  # labelled visits without which a spread is no number
LEAST_STD = 1e-9  # a smaller one is rounding: logarithms of equal values are not quite equal
LOG_SCALE_RANGE = (-5.0, 3.0)  # of a standard deviation; keeps a likelihood from running away


@dataclasses.dataclass(frozen=True)
class Scaling:
    """Which measures a network has, and means and standard deviations.

    Never trained; part of the model, kept beside its weights. A measure that no training visit
    has is NaN, and so is every estimate of it; so is one that the network has no output for.

    Attributes:
      labels: The measures of the outputs, some of LABELS in their order; m of them.
      label_mean, label_std: Those of the logarithms of the measures.
      tabular_mean, tabular_std: Those of the inputs in their units, but of the logarithm of the
        birth weight.
      gain_mean, gain_std: Those of the logarithm of weight over birth weight.
      reference_cm: The lengths of the reference objects of the training visits, ascending.
    """

    label_mean: tuple[float, ...]
    label_std: tuple[float, ...]
    tabular_mean: tuple[float, ...]
    tabular_std: tuple[float, ...]
    gain_mean: float
    gain_std: float
    labels: tuple[str, ...] = FORMER_LABELS  # of a run that does not say
    reference_cm: tuple[float, ...] = (DEFAULT_REFERENCE_CM,)  # of runs before it was kept

    def __post_init__(self) -> None:
        if unknown := [name for name in self.labels if name not in LABELS]:
            raise ValueError(f"the measure {unknown[0]!r} of a network is unknown, {LABELS} are "
                             f"known; is the run of a newer version?")

    @property
    def columns(self) -> np.ndarray:
        """Where the measures of the network are among LABELS, [m] integers."""
        return np.array([LABELS.index(name) for name in self.labels])

    @property
    def learnt(self) -> tuple[str, ...]:
        """The measures that are estimated: those that a training visit had."""
        return tuple(name for name, mean in zip(self.labels, self.label_mean, strict=True)
                     if math.isfinite(mean))

    @classmethod
    def of(cls, records: Records) -> Scaling:
        """Means and standard deviations of the visits of a training split.

        Raises:
          ValueError: If fewer than two visits have a weight.
        """
        rows = [tabular_of(visit) for visit in records.visits]
        labels, labels_mask, tabular, tabular_mask = (
            np.stack([row[name] for row in rows]).astype(np.float64)
            for name in ("labels", "labels_mask", "tabular", "tabular_mask"))
        if labels_mask[:, _WEIGHT].sum() < FEWEST:
            raise ValueError(f"{int(labels_mask[:, _WEIGHT].sum())} of {len(rows)} training visits "
                             f"have a weight_g; at least {FEWEST} are needed")
        labels = _logs(labels, labels_mask, np)
        tabular = _log_birth_weight(tabular, tabular_mask, np)
        label_mean, label_std = _moments(labels, labels_mask, absent=math.nan)
        tabular_mean, tabular_std = _moments(tabular, tabular_mask, absent=0.0)
        both = labels_mask[:, _WEIGHT] * tabular_mask[:, _BIRTH_WEIGHT]
        gain = labels[:, _WEIGHT] - tabular[:, _BIRTH_WEIGHT]
        (gain_mean,), (gain_std,) = _moments(gain[:, None], both[:, None], absent=0.0)
        lengths = sorted({float(row["reference_cm"]) for row in rows})
        return cls(label_mean, label_std, tabular_mean, tabular_std, gain_mean, gain_std, LABELS,
                   tuple(round(length, 3) for length in lengths))

    def plain(self) -> dict:
        """Plain values for a file or a hash, without what runs of before did not tell."""
        values = dataclasses.asdict(self)
        if self.reference_cm == (DEFAULT_REFERENCE_CM,):
            del values["reference_cm"]
        if self.labels == FORMER_LABELS:
            del values["labels"]
        return values

    @classmethod
    def from_dict(cls, values: dict) -> Scaling:
        """The inverse of `plain`, also after JSON; older runs do not tell `labels`.

        Raises:
          ValueError: If a field is missing, unknown, or not as many numbers as there are.
        """
        found = build_settings(cls, values, "standard", finite=False)
        for field, names in (("label", found.labels), ("tabular", TABULAR)):
            for each in (f"{field}_mean", f"{field}_std"):
                if len(getattr(found, each)) != len(names):
                    raise ValueError(f"standard.{each} has {len(getattr(found, each))} numbers; "
                                     f"give {len(names)}")
        return found

    def inputs(self, tabular: jax.Array, mask: jax.Array) -> jax.Array:
        """Inputs [b, 4] in their units brought to unit scale; any number where `mask` is 0."""
        chex.assert_equal_shape([tabular, mask])
        values = _log_birth_weight(tabular, mask)
        return (values - jnp.array(self.tabular_mean)[None]) / jnp.array(self.tabular_std)[None]

    def targets(self, labels: jax.Array, mask: jax.Array) -> jax.Array:
        """Measures of LABELS in their units, [b, 5], as those of the network of unit scale, [b, m].

        They are 0 where `mask_of` is 0.
        """
        chex.assert_equal_shape([labels, mask])
        labels, mask = labels[:, self.columns], self.mask_of(mask)
        mean, std = jnp.array(self.label_mean)[None], jnp.array(self.label_std)[None]
        return jnp.where(mask > 0, (_logs(labels, mask) - mean) / std, 0)

    def mask_of(self, mask: jax.Array) -> jax.Array:
        """Which labels count, [b, m], from which of LABELS are there, [b, 5].

        One that a single training visit has does not: it has no spread, and is not estimated.
        """
        known = [float(not math.isnan(mean)) for mean in self.label_mean]
        return mask[:, self.columns] * jnp.array(known)[None]

    def measures(self, mean: jax.Array, log_scale: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Estimates and their scales [b, 5] in the units of LABELS, from the network's [b, m].

        The estimate is the median; the scale is to first order, the logarithm's by the estimate,
        within the range that it was trained in.
        """
        chex.assert_equal_shape([mean, log_scale])
        std = jnp.array(self.label_std)[None]
        measures = jnp.exp(mean * std + jnp.array(self.label_mean)[None])
        scale = measures * std * jnp.exp(jnp.clip(log_scale, *LOG_SCALE_RANGE))
        return self._among_all(measures), self._among_all(scale)

    def from_other(self, other: Scaling, mean: jax.Array, log_scale: jax.Array
                   ) -> tuple[jax.Array, jax.Array]:
        """What a network of another scaling says, [b, m] each, as this one would say it.

        Both have the same measures. Of one that either has not learnt it is any number.
        """
        chex.assert_equal_shape([mean, log_scale])
        assert other.labels == self.labels, (other.labels, self.labels)
        factor = np.array(other.label_std) / np.array(self.label_std)
        shift = (np.array(other.label_mean) - np.array(self.label_mean)) / np.array(self.label_std)
        shift = np.nan_to_num(shift).astype(np.float32)  # one that is not learnt is NaN
        return (mean * factor.astype(np.float32)[None] + shift[None],
                log_scale + np.log(factor).astype(np.float32)[None])

    def _among_all(self, values: jax.Array) -> jax.Array:
        """Measures of the network, [b, m], in their columns among LABELS, NaN in the others."""
        if self.labels == LABELS:
            return values
        none = jnp.full_like(values[:, :1], jnp.nan)
        columns = dict(zip(self.labels, jnp.split(values, len(self.labels), axis=1), strict=True))
        return jnp.concatenate([columns.get(name, none) for name in LABELS], axis=1)

    def from_gain(self, gain: jax.Array, birth_weight_g: jax.Array, known: jax.Array
                  ) -> tuple[jax.Array, float]:
        """The weight, of unit scale, from a gain of unit scale, [b, 1] each.

        Returns:
          The weight, which is any number where `known` is 0, and what the logarithm of a scale has
          to change by.
        """
        logarithm = _logs(birth_weight_g, known) + self.gain_mean + self.gain_std * gain
        weight = (logarithm - self.label_mean[_WEIGHT]) / self.label_std[_WEIGHT]
        return weight, math.log(self.gain_std / self.label_std[_WEIGHT])


def _logs(values: Array, mask: Array, numpy: ModuleType = jnp) -> Array:
    """Logarithms of positive numbers, 0 where `mask` is 0; in NumPy or JAX."""
    return numpy.log(numpy.where(mask > 0, values, 1))


def _log_birth_weight(tabular: Array, mask: Array, numpy: ModuleType = jnp) -> Array:
    """Inputs [b, 4] with the birth weight, where it is known, as its logarithm."""
    is_birth_weight = numpy.arange(len(TABULAR))[None] == _BIRTH_WEIGHT
    return numpy.where(is_birth_weight, _logs(tabular, mask * is_birth_weight, numpy), tabular)


def _moments(values: np.ndarray, mask: np.ndarray, absent: float
             ) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and deviations of the columns of [n, k] where the mask is 1.

    They are `absent` and 1 for a column of too few values. A column of equal values has deviation
    1, so that it stays finite.
    """
    means, deviations = [], []
    for column, present in zip(values.T, mask.T, strict=True):
        kept = column[present > 0]
        enough = len(kept) >= FEWEST
        means.append(float(kept.mean()) if enough else absent)
        deviation = float(kept.std()) if enough else 0.0
        deviations.append(deviation if deviation > LEAST_STD else 1.0)
    return tuple(means), tuple(deviations)
