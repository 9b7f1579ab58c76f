"""Methods at equal cost on CIFAR-10: MobileNetV3 at 32 px, a quarter of the width, K = 7.

    python -m launch.compare --config configs/compare_cifar10.py --config.base.data.dir DIR \\
        --out runs/comparison

The full model alone, DepS, BigNAS, OFA, CompOFA (as DepS's authors have ported it, with the largest
kernel) and a recipe of our own (`configs/brisk_cifar10.py`), 3 seeds each, 18 runs. Every run may
spend as many multiply-adds as 5 epochs of the full model's training on 20,000 images. Settings of
all runs are in `base`; those of one, such as `--config.runs.deps.method.temperature=2`, in `runs`.

Options after a colon, separated by commas:
  methods    (docs/methods.md) instead of the six, such as deps,bignas;
  ablations  DepS with warm-up, epsilon-shrinking, distillation, aggregation and temperature
             changed, as in the paper's ablations, and BigNAS as distillation from the start;
  digits     scikit-learn's handwritten digits as in `configs/deps_digits.py`, 2 seeds, the budget
             of 10 epochs: a first try.
"""
from ml_collections import ConfigDict

from configs import brisk_cifar10, deps_cifar10, deps_digits, parts
from deps_jax.training import METHODS

CHOSEN = ("plain", "deps", "bignas", "ofa", "compofa_largest", "deps_brisk")
OTHERS = tuple(name for name in METHODS if name != "compofa")  # whose kernels are 3 and 5, too
ABLATIONS = {
    # Parts of the run after which subnets train at full rate; deps has 50 %, the paper's best.
    "deps_warm_up_25": {"full_model_fraction": 0.25},
    "deps_warm_up_75": {"full_model_fraction": 0.75},
    "deps_no_shrinking": {"ramp_epochs": 0.0},  # subnets begin at full rate
    "deps_labels": {"loss": "hard"},  # warm-up without distillation
    "deps_mean": {"aggregation": "mean"},
    "deps_avg": {"aggregation": "avg"},
    "deps_avg_sqrt": {"aggregation": "avg_sqrt"},
    "deps_temperature_2": {"temperature": 2.0},
    "deps_temperature_4": {"temperature": 4.0},
}


def get_config(arg: str = "") -> ConfigDict:
    """See above for the options."""
    words = parts.options(arg, ("ablations", "digits", *OTHERS))
    digits = "digits" in words
    one = lambda method: _run(method, digits)
    config = ConfigDict()
    config.budget_epochs = 10.0 if digits else 5.0
    config.seeds = (0, 1) if digits else (0, 1, 2)
    config.reference = "deps"
    config.base = one("deps")
    config.base.cadence.evaluate_every = 0
    config.runs = {name: {"method": one(name).method, "optimizer": one(name).optimizer}
                   for name in OTHERS}
    config.runs["deps_brisk"]["augment"] = {"alternating": one("deps_brisk").augment.alternating}
    config.chosen = tuple(name for name in OTHERS if name in words) or CHOSEN
    if "ablations" in words:
        # Distillation from the start is bignas, the same without it sandwich.
        config.chosen = ("deps", *ABLATIONS, "bignas", "sandwich")
        for name, fields in {"deps": {}, **ABLATIONS}.items():
            config.runs[name] = {"method": one("deps").method, "optimizer": config.base.optimizer}
            # In proportion to the budget, as ablations are often shorter.
            config.runs[name].method.ramp_epochs = config.get_ref("budget_epochs") * (
                0.04 if digits else 0.05)
            config.runs[name].method.update(fields)
        if not digits:  # validated often, so on fewer images
            config.base.data.validation_images = 2000
        for name in ("deps", "deps_no_shrinking"):  # the largest network around the switch
            config.runs[name].cadence = {"evaluate_every": 10 if digits else 50}
    return config


def _run(method, digits):
    """The config of a method's run, with DepS's ramp in proportion to so short a run."""
    config = (deps_digits.get_config(method) if digits else
              deps_cifar10.get_config(f"runlocal,{method}"))
    if method.startswith("deps"):
        # A twelfth of the run, as in runlocal of deps_cifar10. That the reference lets the ramp
        # end at the rate of one epoch later is 1.4 % of the rate there, and would be most of it
        # here, so it is left out.
        config.method.update(full_model_fraction=0.5, ramp_epochs=0.4 if digits else 0.25,
                             ramp_target_epochs=0.0)
    return brisk_cifar10.brisk(config) if method == "deps_brisk" else config
