"""`deps_brisk` on CIFAR-10: a quarter of the width, 20,000 images, 12 epochs.

    python -m launch.train_supernet --config configs/brisk_cifar10.py --config.data.dir DIR \\
        --workdir runs/brisk
    python -m launch.evaluate_subnets --workdir runs/brisk

What short runs call for (ours): the smallest network alone for three quarters, from which the
others grow; then sandwiches of three, the third from strata of cost; Muon, a rate that falls in a
straight line to 0, and flips that alternate. `configs/tune_cifar10.py` tunes it against DepS.
"""
from ml_collections import ConfigDict

from configs import deps_cifar10, parts


def get_config(arg: str = "") -> ConfigDict:
    """`arg`: none."""
    parts.options(arg)
    config = brisk(deps_cifar10.get_config("runlocal,deps_brisk"))
    config.training.epochs = 12.0  # cost what 8.3 of the full model do, as the others of runlocal
    return config


def brisk(config: ConfigDict) -> ConfigDict:
    """A config of method `deps_brisk` with the rest of the recipe, changed in place.

    Rates and the part of the run are those of the best trial of `configs/tune_cifar10.py`.
    """
    config.augment.alternating = config.augment.flip  # airbench, arXiv 2404.00498
    config.optimizer.update(name="muon", schedule="linear", learning_rate=0.1, matrix_rate=0.2,
                            min_learning_rate=0.0)
    config.method.update(full_model_fraction=0.75, ramp_epochs=0.0)
    return config
