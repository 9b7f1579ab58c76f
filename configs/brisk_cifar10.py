"""`deps_brisk` on CIFAR-10: a quarter of the width, 20,000 images, 4.8 epochs.

    python -m launch.train_supernet --config configs/brisk_cifar10.py --config.data.dir DIR \\
        --workdir runs/brisk
    python -m launch.evaluate_subnets --workdir runs/brisk

DepS's phases with what short runs call for (ours): Muon, a rate that falls in a straight line to 0,
flips that alternate, and sandwiches of three, the third from strata of cost. It is what
`configs/tune_cifar10.py` tunes against DepS; that it is better at equal cost has not been shown.
"""
from ml_collections import ConfigDict

from configs import deps_cifar10, parts


def get_config(arg: str = "") -> ConfigDict:
    """`arg`: none."""
    parts.options(arg)
    config = deps_cifar10.get_config("runlocal,deps_brisk")
    config.augment.alternating = True  # airbench, arXiv 2404.00498
    config.optimizer.update(name="muon", schedule="linear", min_learning_rate=0.0)
    return config
