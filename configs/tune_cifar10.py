"""DepS and ours (`deps_brisk`), each tuned with as many trials, at equal cost on CIFAR-10.

    python -m launch.compare --config configs/tune_cifar10.py --config.base.data.dir DIR \\
        --out runs/trials
    python -m launch.compare --config configs/tune_cifar10.py:final --config.base.data.dir DIR \\
        --best_of runs/trials --out runs/final

The first line makes the trials, on validation images: a quarter of the width, 20,000 images, the
budget of 2 epochs of the full model. DepS and ours take turns, so that a stop in the middle leaves
as many of both, or one more; only as many as both have finished count. The second compares the best
one of each with five fresh seeds on the test images, which are read once. Both lines may be stopped
and given again, and by several processes: each takes runs that nobody else is at work on.

All runs read their rates out of tables (`training.rate_tables`), so that those of one structure
share their compiled programs.

Options after a colon, separated by commas:
  final   see above;
  digits  scikit-learn's handwritten digits instead, the budget of 10 epochs: a first try.
"""
from ml_collections import ConfigDict

from configs import brisk_cifar10, deps_cifar10, deps_digits, parts

FRESH = (11, 12, 13, 14, 15)  # seeds of the final runs; trials have 0
# What is tuned of DepS: the peak of the rate around the published 0.1, and the part of the run
# before subnets are at full rate.
DEPS_TRIALS = (
    {"learning_rate": 0.1, "full_model_fraction": 0.5},
    {"learning_rate": 0.2, "full_model_fraction": 0.5},
    {"learning_rate": 0.1, "full_model_fraction": 0.25},
    {"learning_rate": 0.1, "full_model_fraction": 0.75},
    {"learning_rate": 0.05, "full_model_fraction": 0.5},
    {"learning_rate": 0.05, "full_model_fraction": 0.75},
)
# Of ours: the rate, that of matrices as a factor on it, that part, and whether the smallest network
# is trained first, as is the method's own, or the largest.
LARGEST_FIRST = {"warm_up": ("largest",), "sort_channels": True}
OUR_TRIALS = (
    {"learning_rate": 0.1, "matrix_rate": 0.2, "full_model_fraction": 0.5},
    {"learning_rate": 0.1, "matrix_rate": 0.4, "full_model_fraction": 0.25},
    {"learning_rate": 0.1, "matrix_rate": 0.2, "full_model_fraction": 0.75},
    {"learning_rate": 0.1, "matrix_rate": 0.2, "full_model_fraction": 0.5, **LARGEST_FIRST},
    {"learning_rate": 0.2, "matrix_rate": 0.1, "full_model_fraction": 0.5},
    {"learning_rate": 0.05, "matrix_rate": 0.4, "full_model_fraction": 0.5},
)
OF_METHOD = ("full_model_fraction", *LARGEST_FIRST)
RAMP = 0.05  # epochs for each of the budget: a twelfth of DepS's run, as in compare_cifar10


def get_config(arg: str = "") -> ConfigDict:
    """See above for the options."""
    words = parts.options(arg, ("final", "digits"))
    digits, final = "digits" in words, "final" in words
    config = ConfigDict()
    config.budget_epochs = 10.0 if digits else 2.0
    config.reference = "deps" if final else "deps_0"
    config.measured_on = "test" if final else "validation"
    config.seeds = FRESH if final else (0,)
    config.base = (deps_digits.get_config("deps") if digits else
                   deps_cifar10.get_config("runlocal,deps"))
    config.base.cadence.evaluate_every = 0
    config.base.training.rate_tables = True
    config.runs, turns = {}, []
    for i, (deps, ours) in enumerate(zip(DEPS_TRIALS, OUR_TRIALS, strict=True)):
        config.runs[f"deps_{i}"] = _run(config, "deps", deps)
        config.runs[f"brisk_{i}"] = _run(config, "deps_brisk", ours)
        turns += [f"deps_{i}", f"brisk_{i}"]
    # Which trials are the best is only known from their folder: --best_of.
    config.chosen = () if final else tuple(turns)
    return config


def _run(config: ConfigDict, method: str, trial: dict) -> dict:
    """The sections of a trial."""
    rates = {name: value for name, value in trial.items() if name not in OF_METHOD}
    ours = method == "deps_brisk"
    optimizer = (brisk_cifar10.get_config() if ours else config.base).optimizer
    run = {"method": parts.method(method, ramp_target_epochs=0.0),
           "optimizer": ConfigDict({**optimizer, **rates})}
    if not ours or "warm_up" in trial:  # what grows from the smallest network has no ramp
        run["method"]["ramp_epochs"] = config.get_ref("budget_epochs") * RAMP
    for name in trial.keys() - rates.keys():
        run["method"][name] = trial[name]
    if ours:
        run["augment"] = {"alternating": config.base.augment.flip}
    return run
