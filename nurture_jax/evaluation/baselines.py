"""What one can say without the video: the birth weight carried forward, and the table alone.

A model that is not clearly better than both has learnt nothing from the pictures. Both are fitted
to the training split and return the same `Estimates` as the model.
"""
from __future__ import annotations

import dataclasses

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from threadpoolctl import threadpool_limits

from nurture_jax.evaluation.estimates import Estimates, measured, numbers
from nurture_jax.measures import LABELS, SEXES, TABULAR, WEIGHT
from nurture_jax.records.visit import Visit

CARRY_FORWARD = "birth weight carried forward"
TABULAR_ONLY = "table without video"
FOLDS = 5
LEAST_SCALE = 1e-3  # of a baseline that is never wrong in training; a spread is above 0
_WEIGHT = LABELS.index(WEIGHT.name)


@dataclasses.dataclass(frozen=True)
class CarryForward:
    """The weight at birth taken for the weight of today; the median where it is not known.

    Attributes:
      median: Medians of the training split, [5] float64 in the order of LABELS; the other measures
        have no value at birth to carry.
      scale: Mean absolute errors of the medians in training, [5] float64.
      carried_scale: The same of the carried weight, in g.
    """

    median: np.ndarray
    scale: np.ndarray
    carried_scale: float

    @classmethod
    def fit(cls, visits: tuple[Visit, ...]) -> CarryForward:
        """Takes medians and errors from the visits of the training split."""
        labels = measured(visits)
        median = np.array([np.median(_known(column)) if _known(column).size else np.nan
                           for column in labels.T])
        scale = np.array([_spread(_known(column)) for column in (labels - median).T])
        error = _known(labels[:, _WEIGHT] - numbers(visits, "birth_weight_g"))
        return cls(median, scale, _spread(error) if error.size else scale[_WEIGHT])

    def estimate(self, visits: tuple[Visit, ...]) -> Estimates:
        """The birth weight where it is known, and medians."""
        mean, scale = (np.tile(value, (len(visits), 1)) for value in (self.median, self.scale))
        birth_weight_g = numbers(visits, "birth_weight_g")
        carried = np.isfinite(birth_weight_g)
        mean[carried, _WEIGHT] = birth_weight_g[carried]
        scale[carried, _WEIGHT] = self.carried_scale
        return Estimates(tuple(visits), mean, scale)

    def describe(self, visits: tuple[Visit, ...]) -> str:
        """Says for the report what stands where."""
        missing = int(np.isnan(numbers(visits, "birth_weight_g")).sum())
        text = ("weight: the birth weight; all others: the median of the training "
                "split")
        return text if not missing else (
            f"{text}; birth weight not known at {missing} of {len(visits)} visits, there the "
            f"training median of {self.median[_WEIGHT]:.0f} g")


@dataclasses.dataclass(frozen=True)
class Tabular:
    """A regression of each measure on birth weight, age, gestation and sex.

    Attributes:
      models: A fitted scikit-learn regressor for each of LABELS; None for one of too few infants.
      names: The candidate that won, for each of LABELS.
      errors: Mean absolute errors in cross-validation by candidate, for each of LABELS.
    """

    models: tuple
    names: tuple[str, ...]
    errors: tuple[dict[str, float], ...]

    @classmethod
    def fit(cls, visits: tuple[Visit, ...], seed: int = 0, folds: int = FOLDS) -> Tabular:
        """Chooses for each measure by cross-validation over infants, then fits to all visits.

        Args:
          visits: Visits of the training split.
          seed: Seed of the gradient boosting.
          folds: Parts that the infants are divided into.

        A measure of fewer infants than folds is not estimated, like one that was never taken.
        """
        inputs, labels = _inputs(visits), measured(visits)
        infants = np.array([visit.infant_id for visit in visits])
        # Tables are small; on a busy machine the threads would only wait for each other.
        with threadpool_limits(1, "openmp"):
            chosen = [_choose(inputs, column, infants, _candidates(seed), folds)
                      for column in labels.T]
        return cls(*map(tuple, zip(*chosen, strict=True)))

    def estimate(self, visits: tuple[Visit, ...]) -> Estimates:
        """Estimates whose scale is the error in cross-validation, the same for every visit."""
        inputs, nothing = _inputs(visits), np.full(len(visits), np.nan)
        with threadpool_limits(1, "openmp"):
            mean = np.stack([model.predict(inputs) if model else nothing
                             for model in self.models], 1)
        scale = [found[name] if model else np.nan
                 for model, name, found in zip(self.models, self.names, self.errors, strict=True)]
        return Estimates(tuple(visits), mean, np.tile(scale, (len(visits), 1)))

    def describe(self, visits: tuple[Visit, ...]) -> str:
        """Says for the report which regression was chosen for which measure."""
        del visits  # nothing depends on them
        return "; ".join(f"{measure}: {name}"
                         for measure, name in zip(LABELS, self.names, strict=True))


@dataclasses.dataclass(frozen=True)
class Baseline:
    """What another method says of some visits.

    Attributes:
      estimates: Its estimates.
      description: What it is, in words.
    """

    estimates: Estimates
    description: str


def fit_baselines(training: tuple[Visit, ...], visits: tuple[Visit, ...], seed: int = 0
                  ) -> dict[str, Baseline]:
    """Both baselines by name.

    Args:
      training: Visits of the training split, to which they are fitted.
      visits: Visits that they estimate, the same as the model.
      seed: Seed of the gradient boosting.
    """
    fitted = {TABULAR_ONLY: Tabular.fit(training, seed), CARRY_FORWARD: CarryForward.fit(training)}
    return {name: Baseline(each.estimate(visits), each.describe(visits))
            for name, each in fitted.items()}


def _known(values: np.ndarray) -> np.ndarray:
    """Those that are not nan."""
    return values[~np.isnan(values)]


def _spread(errors: np.ndarray) -> float:
    """Mean absolute error, above 0; nan for no errors at all."""
    return max(float(np.abs(errors).mean()), LEAST_SCALE) if errors.size else np.nan


def _candidates(seed: int) -> dict:
    """Regressors by name, not yet fitted."""
    # Targets are standardised so that one range of penalties suits grams and centimetres.
    ridge = TransformedTargetRegressor(
        make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=True),
                      PolynomialFeatures(2, include_bias=False), StandardScaler(),
                      RidgeCV(np.logspace(-2, 4, 13))),
        transformer=StandardScaler())
    boosting = HistGradientBoostingRegressor(loss="absolute_error", max_iter=100,
                                             max_leaf_nodes=8, early_stopping=False,
                                             random_state=seed)
    return {"ridge of second order": ridge, "gradient boosting": boosting}


def _choose(inputs: np.ndarray, labels: np.ndarray, infants: np.ndarray, candidates: dict,
            folds: int) -> tuple:
    """For one measure, the model fitted to all visits, its name, and errors of every candidate.

    An error is the mean over folds of the mean absolute error over visits whose infants the model
    has not seen.
    """
    rows = np.isfinite(labels)
    groups = infants[rows]
    if (count := len(np.unique(groups))) < folds:
        return None, f"measured in {count} infants of training, {folds} needed", {}
    names, models = zip(*candidates.items(), strict=True)
    search = GridSearchCV(Pipeline([("regressor", models[0])]), {"regressor": list(models)},
                          scoring="neg_mean_absolute_error", cv=GroupKFold(folds),
                          error_score="raise")
    search.fit(inputs[rows], labels[rows], groups=groups)
    scores = search.cv_results_["mean_test_score"]
    errors = {name: max(float(-score), LEAST_SCALE)
              for name, score in zip(names, scores, strict=True)}
    return search.best_estimator_, names[search.best_index_], errors


def _inputs(visits: tuple[Visit, ...]) -> np.ndarray:
    """Inputs in the order of TABULAR, [n, 4] float64; nan where they are not known."""
    sex = [SEXES.get(visit.sex, np.nan) for visit in visits]
    return np.stack([*(numbers(visits, name) for name in TABULAR[:-1]), np.array(sex)], axis=1)
