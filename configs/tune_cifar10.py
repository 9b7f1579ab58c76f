"""DepS and ours (`deps_brisk`), each tuned with as many trials, at equal cost on CIFAR-10.

    python -m launch.compare --config configs/tune_cifar10.py --config.base.data.dir DIR \\
        --out runs/trials
    python -m launch.compare --config configs/tune_cifar10.py:final --config.base.data.dir DIR \\
        --best_of runs/trials --out runs/final

The first line makes the trials, on validation images: a quarter of the width, 45,000 images, the
budget of 5 epochs of the full model, steps of 256. DepS and ours take turns, so that a stop in the
middle leaves as many of both, or one more; only as many as both have finished count. The second
compares the best one of each with five fresh seeds on the test images, which are read once.

All trials read their rates out of tables (`training.rate_tables`), so trials of one structure share
their compiled programs. Given to several processes, each line takes runs that nobody else is at
work on.

Options after a colon, separated by commas:
  final   see above;
  ready   compiles what the trials need, by runs of half an epoch; what it finds is of no use;
  digits  scikit-learn's handwritten digits instead: a first try.
"""
from ml_collections import ConfigDict

from configs import deps_cifar10, deps_digits, parts

FRESH = (11, 12, 13, 14, 15)  # seeds of the final runs; trials have 0
# What is tuned of DepS: the peak of the rate around 0.4, which is the published 0.1 for 64 images
# at 256, and the part of the run before subnets are at full rate.
DEPS_TRIALS = (
    {"learning_rate": 0.4, "full_model_fraction": 0.5},
    {"learning_rate": 0.2, "full_model_fraction": 0.5},
    {"learning_rate": 0.4, "full_model_fraction": 0.25},
    {"learning_rate": 0.8, "full_model_fraction": 0.5},
    {"learning_rate": 0.2, "full_model_fraction": 0.25},
    {"learning_rate": 0.1, "full_model_fraction": 0.5},
    {"learning_rate": 0.8, "full_model_fraction": 0.25},
    {"learning_rate": 0.4, "full_model_fraction": 0.75},
)
# Of ours: the rate, that of matrices as a factor on it, the part of the warm-up, and in which
# order networks join.
GROWN = {"warm_up": ("smallest",), "sort_channels": False, "ramp_epochs": 0.0}
OUR_TRIALS = (
    {"learning_rate": 0.2, "matrix_rate": 0.2, "full_model_fraction": 0.5},
    {"learning_rate": 0.2, "matrix_rate": 0.1, "full_model_fraction": 0.5},
    {"learning_rate": 0.2, "matrix_rate": 0.2, "full_model_fraction": 0.25},
    {"learning_rate": 0.2, "matrix_rate": 0.2, "full_model_fraction": 0.5, **GROWN},
    {"learning_rate": 0.2, "matrix_rate": 0.4, "full_model_fraction": 0.5},
    {"learning_rate": 0.4, "matrix_rate": 0.1, "full_model_fraction": 0.25},
    {"learning_rate": 0.2, "matrix_rate": 0.4, "full_model_fraction": 0.25, **GROWN},
    {"learning_rate": 0.1, "matrix_rate": 0.2, "full_model_fraction": 0.25},
)
OF_METHOD = ("full_model_fraction", *GROWN)


def get_config(arg: str = "") -> ConfigDict:
    """See above for the options."""
    words = parts.options(arg, ("final", "ready", "digits"))
    digits = "digits" in words
    config = ConfigDict()
    config.budget_epochs = (2.0 if digits else 0.5) if "ready" in words else (
        10.0 if digits else 5.0)
    config.reference = "deps" if "final" in words else "deps_0"
    config.measured_on = "test" if "final" in words else "validation"
    config.seeds = FRESH if "final" in words else (0,)
    config.base = (deps_digits.get_config("deps") if digits else
                   deps_cifar10.get_config("runlocal,deps"))
    config.base.cadence = {"log_every": 25, "checkpoint_every": 0, "evaluate_every": 0}
    config.base.training.rate_tables = True
    if not digits:
        config.base.data.train_images = 0  # all but those for validation
        config.base.training.batch_size = 256
    config.runs = {}
    for i, (deps, ours) in enumerate(zip(DEPS_TRIALS, OUR_TRIALS, strict=True)):
        config.runs[f"deps_{i}"] = _run(config.base, "deps", deps)
        config.runs[f"brisk_{i}"] = _run(config.base, "deps_brisk", ours)
    config.chosen = () if "final" in words else tuple(config.runs)
    if "ready" in words:  # one of each structure
        config.chosen = ("deps_0", "brisk_0", "brisk_3")
    return config


def _run(base: ConfigDict, method: str, trial: dict) -> dict:
    """The sections of a trial, with DepS's ramp in proportion to so short a run."""
    rates = {name: value for name, value in trial.items() if name not in OF_METHOD}
    fields = {"ramp_epochs": 0.25, "ramp_target_epochs": 0.0,  # see compare_cifar10
              **{name: value for name, value in trial.items() if name in OF_METHOD}}
    run = {"method": parts.method(method, **fields),
           "optimizer": ConfigDict({**base.optimizer, **rates})}
    if method == "deps_brisk":
        run["optimizer"].update(name="muon", schedule="linear", min_learning_rate=0.0)
        run["augment"] = {"alternating": base.augment.flip}
    return run
