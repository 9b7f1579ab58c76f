"""What the docstring of a config says is what its fields hold."""
import pytest

from configs import (
    brisk_cifar10,
    brisk_parts_cifar10,
    compare_cifar10,
    deps_cifar10,
    deps_digits,
    deps_imagenet,
    deps_imagenet100,
    nurture,
    tune_cifar10,
)
from deps_jax.space.families import SPACES

PARTS = {0.25: "a quarter of", 0.125: "an eighth of"}


def training(config):
    return f"{config.training.epochs:g} epochs"


def width(config):
    return PARTS[config.space.width_mult]


def side(config):
    return f"{config.space.resolution} px"


def kernels(config):
    own = SPACES[config.space.family].stages[0].kernels
    return "K = {},".format(*(config.space.kernels or own))


@pytest.mark.parametrize(("module", "option", "phrases"), [
    (deps_digits, "", (width, side, lambda c: "kernels of {} and {}".format(*c.space.kernels))),
    (deps_cifar10, "", (training, kernels)),
    (deps_cifar10, "runlocal", (width, training, lambda c: f"{c.data.train_images:,} images")),
    (deps_imagenet100, "", (training, kernels)),
    (deps_imagenet, "", (training, lambda c: f"batch {c.training.batch_size}.",
                         kernels, lambda c: c.training.dtype)),
    (deps_imagenet, "runlocal", (width, side, training, lambda c: f"batch {c.training.batch_size}",
                                 lambda c: c.training.dtype)),
    (compare_cifar10, "", (
        lambda c: width(c.base), lambda c: f"{c.budget_epochs:g} epochs of the full model",
        lambda c: f"{c.base.data.train_images:,} images", lambda c: f"{len(c.seeds)} seeds each",
        lambda c: f"{len(c.seeds) * len(c.chosen)} runs")),
    (compare_cifar10, "digits", (
        lambda c: f"{c.budget_epochs:g} epochs", lambda c: f"{len(c.seeds)} seeds, the budget")),
    (brisk_cifar10, "", (width, training, lambda c: f"{c.data.train_images:,} images")),
    (tune_cifar10, "", (
        lambda c: width(c.base), lambda c: f"{c.budget_epochs:g} epochs of the full model",
        lambda c: f"{c.base.data.train_images:,} images")),
    (brisk_parts_cifar10, "", (
        lambda c: width(c.base), lambda c: f"the budget of {c.budget_epochs:g} epochs",
        lambda c: f"{c.base.data.train_images:,} images", lambda c: f"{c.measured_on} images")),
    (tune_cifar10, "digits", (lambda c: f"{c.budget_epochs:g} epochs",)),
    (nurture, "synthetic", (lambda c: f"at {c.data.size} px",)),
    (nurture, "demo", (lambda c: f"at {c.data.size} px",)),
    (nurture, "real", (lambda c: f"ResNet-{c.backbone.depth}, {c.data.size} px, {c.data.frames}",)),
])
def test_docstrings_agree_with_their_numbers(module, option, phrases):
    said = " ".join(module.__doc__.split())
    config = module.get_config(option)
    assert [phrase(config) for phrase in phrases if phrase(config) not in said] == []
