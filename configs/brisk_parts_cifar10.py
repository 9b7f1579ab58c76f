"""What each part of `deps_brisk` brings on CIFAR-10: the recipe with one part taken back or added.

    python -m launch.compare --config configs/brisk_parts_cifar10.py --config.base.data.dir DIR \\
        --out runs/parts

As the trials of `configs/tune_cifar10.py`: a quarter of the width, 20,000 images, the budget of 2
epochs of the full model, validation images.
"""
from ml_collections import ConfigDict

from configs import brisk_cifar10, parts

# By the name of a run, what it changes in the sections of its config.
CHANGES = {
    "brisk": {},
    # Taken back: to what DepS has.
    "sgd": {"optimizer": {"name": "sgd"}},
    "largest_first": {"method": {"warm_up": ("largest",), "sort_channels": True}},
    "uniform_sampling": {"method": {"sampling": "uniform"}},
    "four_subnets": {"method": {"subnets_per_step": 4}},
    "cosine": {"optimizer": {"schedule": "cosine", "min_learning_rate": 2.5e-3}},
    "random_flips": {"augment": {"alternating": False}},
    # Added.
    "half_full": {"method": {"full_model_share": 0.5}},
    "grown_in_two": {"method": {"warm_up": ("smallest", "d3e4k7")}},
    "average": {"training": {"average_decay": 0.98}},  # over about 50 steps
}


def get_config(arg: str = "") -> ConfigDict:
    """`arg`: none."""
    parts.options(arg)
    config = ConfigDict()
    config.budget_epochs = 2.0
    config.measured_on = "validation"
    config.seeds = (0,)
    config.reference = "brisk"
    config.chosen = tuple(CHANGES)
    config.base = brisk_cifar10.get_config()
    config.base.cadence.evaluate_every = 0
    config.base.training.rate_tables = True
    config.runs = {name: ConfigDict(changes) for name, changes in CHANGES.items()}
    return config
