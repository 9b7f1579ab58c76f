"""What an estimate is worth to whoever has to act on it: decision curves (Vickers and Elkin 2006,
doi 10.1177/0272989X06295361) of a weight below 2500 g.

An infant is sent to a scale from some probability of a low weight on, and that threshold says what
a light infant that is found is worth: at 10 %, nine others that are sent for nothing. The net
benefit of a rule is, for each visit,

    found / visits - false alarms / visits * threshold / (1 - threshold)

and it has to be above that of sending everybody, and above 0, that of sending nobody. The
probability is of the law that `forecast` scores, a Laplace law of the predicted scale.
"""
from __future__ import annotations

import dataclasses

import numpy as np

from deps_jax.common.statistics.intervals import Number
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.evaluation.uncertainty import bootstrap
from nurture_jax.growth import LOW_BIRTH_WEIGHT_G
from nurture_jax.measures import LABELS, WEIGHT

# From a hundred needless weighings for each light infant to a single one (our choice).
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)


@dataclasses.dataclass(frozen=True)
class DecisionCurve:
    """Net benefit for each visit by threshold, with intervals by infant.

    Attributes:
      what: Whose estimates.
      visits, low: Number of visits, and of those below 2500 g.
      thresholds: Probabilities from which on an infant is sent to a scale.
      sent: Share of visits that are sent, at each of them.
      benefit: Net benefit at each of them.
      everybody: Net benefit where everybody of the same visits is sent; where nobody is, it is 0.
    """

    what: str
    visits: int
    low: int
    thresholds: tuple[float, ...]
    sent: tuple[float, ...]
    benefit: tuple[Number, ...]
    everybody: tuple[Number, ...]


def decision_curve(estimates: Estimates, what: str, seed: int = 0,
                   thresholds: tuple[float, ...] = THRESHOLDS) -> DecisionCurve:
    """The curve of the visits that have been weighed.

    Args:
      estimates: What is evaluated.
      what: Whose they are.
      seed: Seed of the bootstrap.
      thresholds: Probabilities above 0 and below 1.
    """
    known = estimates.of(WEIGHT.name).known
    low = estimates.of(WEIGHT.name).truth[known] < LOW_BIRTH_WEIGHT_G
    at = np.array(thresholds)
    sent = probability_low(estimates)[known, None] >= at  # [n, thresholds]
    odds, infants = at / (1 - at), estimates.families[known]
    found, everybody = (_net_benefit(low, rule, odds, infants, seed)
                        for rule in (sent, np.ones_like(sent)))
    shares = sent.mean(0) if len(low) else np.full(len(at), np.nan)
    return DecisionCurve(what, len(low), int(low.sum()), thresholds, tuple(shares.tolist()), found,
                         everybody)


def probability_low(estimates: Estimates) -> np.ndarray:
    """Probability of a weight below 2500 g by the predicted Laplace law, [n] float64."""
    column = LABELS.index(WEIGHT.name)
    z = (LOW_BIRTH_WEIGHT_G - estimates.mean[:, column]) / estimates.scale[:, column]
    tail = np.exp(-np.abs(z)) / 2
    return np.where(z < 0, tail, 1 - tail)


def _net_benefit(low: np.ndarray, sent: np.ndarray, odds: np.ndarray, infants: np.ndarray,
                 seed: int) -> tuple[Number, ...]:
    """Net benefit of a rule at each threshold.

    Args:
      low: Which visits are below 2500 g, [n] bool.
      sent: Which are sent to a scale, [n, thresholds] bool.
      odds: What a false alarm costs, in infants found, [thresholds].
      infants: Whose visit each is, [n].
    """
    worth = np.where(low[:, None], 1.0, -odds) * sent
    terms = np.concatenate([worth, np.ones((len(low), 1))], axis=1)
    return bootstrap(infants, terms, lambda *sums: tuple(each / sums[-1] for each in sums[:-1]),
                     seed)
