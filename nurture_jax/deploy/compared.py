"""A network and the files of it, asked about the same visits: errors, coverage, decisions."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from nurture_jax.clips.clip_batches import ClipSource
from nurture_jax.evaluation import intervals
from nurture_jax.evaluation.coverage import EVERYBODY, covered
from nurture_jax.evaluation.estimates import Estimates
from nurture_jax.measures import LABELS, MEASURES, WEIGHT
from nurture_jax.runs.calibration import Calibration
from nurture_jax.runs.observed import Observe, Observed, learn, observe_split

# What a file must keep (ours; the first two in any precision that computes in float32).
MOST_DIFFERENCE = {"g": 2.0, "cm": 0.02}
MOST_COST_G, MOST_COST_COVERAGE, LEAST_AGREEMENT = 3.0, 0.01, 0.99


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one network, or one file, says of the visits of a run.

    Attributes:
      calibration: Its own intervals, under the limits of the run.
      errors: Mean absolute error of each measure that was measured, in its unit.
      coverage: Share of infants whose measure lies in the interval, by measure.
      seen: What it said of the visits that are told of.
    """

    calibration: Calibration
    errors: dict[str, float]
    coverage: dict[str, float]
    seen: Observed

    @property
    def accepted(self) -> dict[str, bool]:
        """Whether the gate lets each visit through, by its key."""
        return {visit.key: gate.accepted for visit, gate in self.seen.gates}


def measure(observe: Observe, sources: Mapping[str, ClipSource], *, calibrating: str, split: str,
            batch_size: int, of: Calibration, sha256: str) -> Measured:
    """Calibrates a network on its own outputs, and judges it on a split.

    Args:
      observe: The network or the file.
      sources: Clips by split.
      calibrating, split: Names of the splits that calibrate and that are told of.
      batch_size: Clips at a time.
      of: Calibration of the run, whose limits hold.
      sha256: Hash of what is observed.

    Raises:
      ValueError: If the gate rejects all visits of the split that is told of.
    """
    familiar, lengths = learn(observe, sources, batch_size, of.limits)
    look = lambda part, **options: observe_split(
        observe, sources[part], batch_size, of.limits, familiar, lengths, **options)
    own, seen = look(calibrating, may_be_empty=True), look(split)
    factors = intervals.calibrate(own.estimates, own.withheld, coverage=of.intervals.coverage)
    errors = np.abs(seen.estimates.truth - seen.estimates.mean)
    mean = {name: float(np.nanmean(errors[:, i])) for i, name in enumerate(LABELS)
            if np.isfinite(errors[:, i]).any()}
    shares = {row.measure: row.by_infant.value for row in covered(factors, seen.estimates)
              if row.by == EVERYBODY}
    return Measured(Calibration(factors, sha256, of.limits, familiar, lengths), mean, shares, seen)


def differences(run: Measured, file: Measured) -> dict[str, float]:
    """Largest difference of each measure, in its unit, over the visits that both let through.

    Infinite where the run has an estimate and the file has none.
    """
    means = _of_both(run, file, lambda estimates: estimates.mean)
    known = np.isfinite(means[0])
    apart = np.where(np.isfinite(means[1]), np.abs(means[1] - means[0]), np.inf)
    return {name: float(apart[known[:, i], i].max()) for i, name in enumerate(LABELS)
            if known[:, i].any()}


def further(run: Measured, file: Measured) -> float:
    """Mean absolute error of the weight in g of a file minus its run's, of visits that both let in.

    Infinite where the file has no estimate; nan where there is no such visit with a weight.
    """
    errors = _of_both(run, file, lambda estimates: np.abs(estimates.mean - estimates.truth))
    weight = errors[:, :, LABELS.index(WEIGHT.name)]
    known = np.isfinite(weight[0])
    if not known.any():
        return np.nan
    apart = weight[1, known] - weight[0, known]
    return float(np.where(np.isfinite(apart), apart, np.inf).mean())


def _of_both(run: Measured, file: Measured, values: Callable[[Estimates], np.ndarray]
             ) -> np.ndarray:
    """Values of the visits that both let through, [2, visits, measures]."""
    rows = [{visit.key: row for visit, row in zip(
        found.seen.estimates.visits, values(found.seen.estimates), strict=True)}
        for found in (run, file)]
    both = sorted(rows[0].keys() & rows[1].keys())
    return np.array([[row[key] for key in both] for row in rows]).reshape(2, -1, len(LABELS))


def agreement(run: Measured, file: Measured) -> float:
    """Share of the visits about which both gates decide alike."""
    decided, others = run.accepted, file.accepted
    return float(np.mean([decided[key] == others[key] for key in decided]))


def failures(run: Measured, file: Measured, precision: str) -> list[str]:
    """Sentences that say what a file does not keep of its run; none when all is well."""
    told = []
    for name, apart in differences(run, file).items():
        measure_, most = MEASURES[name], MOST_DIFFERENCE[MEASURES[name].unit]
        if np.isinf(apart):
            told.append(f"it has no {measure_.label} of a recording of which the network has one")
        elif precision == "fp32" and apart > most:
            told.append(f"{measure_.label} differs by up to {apart:.3g} {measure_.unit} from the "
                        f"network's, allowed is {most:g}")
    if MOST_COST_G < (cost := further(run, file)) < np.inf:
        told.append(f"the mean error of the weight is {cost:.1f} g larger than the network's, "
                    f"allowed is {MOST_COST_G:g}")
    for name, share in run.coverage.items():
        if name not in file.coverage:
            told.append(f"it has no intervals of {MEASURES[name].label}, the network has some")
        elif (lost := share - file.coverage[name]) > MOST_COST_COVERAGE:
            told.append(f"intervals of {MEASURES[name].label} cover {100 * lost:.1f} points less "
                        f"than the network's, allowed is {100 * MOST_COST_COVERAGE:g}")
    if (alike := agreement(run, file)) < LEAST_AGREEMENT:
        told.append(f"the gate decides alike on {alike:.1%} of the recordings, needed are "
                    f"{LEAST_AGREEMENT:.0%}")
    return told
