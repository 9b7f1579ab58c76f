"""A classifier fitted to the features of networks that keep their weights (linear probing).

Before all layers are trained on few images: gradients that come through a random classifier would
spoil the features that the weights bring along (Kumar et al., 2022, arXiv 2202.10054).
"""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from deps_jax.data.augment import Augment
from deps_jax.data.pipeline import eval_batches
from deps_jax.data.sources import ArraySource
from deps_jax.evaluation.recalibration import Evaluator
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.supernet.tensors import Tree

FOLDS = 5  # of the cross-validation
LEAST_OF_A_CLASS = 2  # images: one to fit, one to try the fit on
# Inverse strengths of the regularisation to choose from; features have a standard deviation of 1.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclasses.dataclass(frozen=True)
class Probe:
    """A fitted classifier.

    Attributes:
      classifier: Its parameters, {"kernel": [features, classes], "bias": [classes]} float32.
      right: Number of images whose class was found by fits that had not seen them, for the last of
        the networks.
      images: Number of images.
    """

    classifier: dict[str, jax.Array]
    right: int
    images: int


# Many small fits: threads only wait for each other, and sums would depend on their number.
@threadpool_limits.wrap(limits=1, user_api="blas")
def fit_classifier(space: SearchSpace, preprocess: Augment, params: Tree,
                   subnets: Sequence[Subnet], calibration: jax.Array, images: ArraySource,
                   classes: Sequence[str]) -> Probe:
    """One classifier for several networks: logistic regression on the features of all of them.

    The strength of its regularisation is chosen by cross-validation, in which all that networks
    make of one image is left out together.

    Args:
      space: Space of the supernet, whose `num_classes` is that of the new classifier.
      preprocess: Normalisation of the images.
      params: Parameters of the supernet; those of its classifier are not read.
      subnets: Static subnets.
      calibration: Images [n, b, h, w, 3] uint8 that give subnets their batch statistics.
      images: Images to fit to, with their labels.
      classes: Names of the classes.

    Raises:
      ValueError: If a class has fewer than LEAST_OF_A_CLASS images.
    """
    check_counts(images.labels, classes)
    features = _features(space, preprocess, params, subnets, calibration, images)
    fold = _folds(images.labels)
    hits = {strength: _right(features, images.labels, fold, strength) for strength in STRENGTHS}
    best = max(STRENGTHS, key=lambda strength: hits[strength].sum())  # of equals, the smoothest
    model = _model(best).fit(np.concatenate(features), np.tile(images.labels, len(subnets)))
    return Probe(_as_parameters(model), int(hits[best][-1]), len(images))


def check_counts(labels: np.ndarray, classes: Sequence[str]) -> None:
    """Raises ValueError unless every class has LEAST_OF_A_CLASS images.

    Args:
      labels: Number of each image's class, [n].
    """
    counts = np.bincount(labels, minlength=len(classes))
    for name, count in zip(classes, counts, strict=True):
        if count < LEAST_OF_A_CLASS:
            raise ValueError(f"class {name!r} has {count} training images once those for "
                             f"validation and test are taken out; add images of it until there "
                             f"are {LEAST_OF_A_CLASS} or more, or leave the class out")


def _features(space: SearchSpace, preprocess: Augment, params: Tree, subnets: Sequence[Subnet],
              calibration: jax.Array, images: ArraySource) -> list[np.ndarray]:
    """What the classifier sees of every image, [n, features] float32 for every network.

    It is what a network gives whose classifier is the identity.
    """
    width = params["classifier"]["kernel"].shape[0]
    evaluator = Evaluator(dataclasses.replace(space, num_classes=width), preprocess)
    params = {**params, "classifier": {"kernel": jnp.eye(width), "bias": jnp.zeros(width)}}
    return [evaluator.logits(params, evaluator.recalibrate(params, subnet, calibration), subnet,
                             eval_batches(images, calibration.shape[1])) for subnet in subnets]


def _folds(labels: np.ndarray) -> np.ndarray:
    """Number of each image's fold, [n]; every class is spread over the folds."""
    shuffled = np.random.default_rng(0).permutation(len(labels))
    fold = np.empty(len(labels), int)
    fold[shuffled[np.argsort(labels[shuffled], kind="stable")]] = np.arange(len(labels)) % FOLDS
    return fold


def _right(features: Sequence[np.ndarray], labels: np.ndarray, fold: np.ndarray, strength: float
           ) -> np.ndarray:
    """How many images each network gets right in the fits that leave them out, [networks]."""
    hits = np.zeros(len(features), int)
    for out in (fold == i for i in np.unique(fold)):
        model = _model(strength).fit(np.concatenate([each[~out] for each in features]),
                                     np.tile(labels[~out], len(features)))
        hits += [int((model.predict(each[out]) == labels[out]).sum()) for each in features]
    return hits


def _model(strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))


def _as_parameters(model: Pipeline) -> dict[str, jax.Array]:
    """Scaling and regression as one layer; of two classes sklearn keeps the difference alone."""
    scaler, regression = model
    kernel, bias = regression.coef_.T, regression.intercept_
    if kernel.shape[1] == 1:
        kernel, bias = np.concatenate([-kernel, kernel], 1) / 2, np.append(-bias, bias) / 2
    kernel = kernel / scaler.scale_[:, None]
    return {"kernel": jnp.asarray(kernel, jnp.float32),
            "bias": jnp.asarray(bias - scaler.mean_ @ kernel, jnp.float32)}
