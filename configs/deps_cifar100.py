"""DepS on CIFAR-100: the recipe of CIFAR-10 with other statistics of the pixels.

    python -m launch.train_supernet --config configs/deps_cifar100.py --config.data.dir DIR \\
        --workdir runs/c100
    python -m launch.evaluate_subnets --workdir runs/c100

Options are those of `configs/deps_cifar10.py`. Not run by us.

Subnets end their ramp at 98 % of the base rate, with runlocal at 39 % of the base rate, and train
at the base rate from the next step on (`method.ramp_target_epochs`, docs/method.md).
"""
from ml_collections import ConfigDict

from configs import deps_cifar10


def get_config(arg: str = "") -> ConfigDict:
    """`arg`: options separated by commas, see `deps_cifar10`."""
    config = deps_cifar10.get_config(arg)
    config.data.name = "cifar100"
    config.augment.update(mean=(0.5071, 0.4867, 0.4408),  # docs/reference.md
                          std=(0.2675, 0.2565, 0.2761))
    return config
