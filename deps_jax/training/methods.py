"""Methods of training a supernet, as values: each makes the phases of a run.

    own = dataclasses.replace(DEPS, name="own", sampling="attentive_best", loss="alpha")

Any sampling, loss, weight and aggregation goes with any of them. A story that is neither a
`Sandwich` nor `Progressive` is one more class with a method `phases`.
"""
from __future__ import annotations

import dataclasses

from deps_jax.training.method import Method
from deps_jax.training.progressive import Opening, Progressive
from deps_jax.training.sandwich import Sandwich

DEPS = Sandwich("deps")
PLAIN = Sandwich("plain", subnets_per_step=1, full_model_fraction=0.0, ramp_epochs=0.0,
                 sort_channels=False)
BIGNAS = dataclasses.replace(PLAIN, name="bignas", subnets_per_step=4)
SANDWICH = dataclasses.replace(BIGNAS, name="sandwich", loss="hard")  # without distillation
ALPHANET = dataclasses.replace(BIGNAS, name="alphanet", loss="alpha")
ATTENTIVE_BEST = dataclasses.replace(BIGNAS, name="attentive_best", sampling="attentive_best")
ATTENTIVE_WORST = dataclasses.replace(BIGNAS, name="attentive_worst", sampling="attentive_worst")
DEPS_COMPOUND = dataclasses.replace(DEPS, name="deps_compound", sampling="compound")
DEPS_CALR = dataclasses.replace(DEPS, name="deps_calr", weight="complexity")
# Ours: what cheap steps and little time call for (docs/methods.md); its config is brisk_cifar10.
DEPS_BRISK = dataclasses.replace(
    DEPS, name="deps_brisk", warm_up=("smallest",), sampling="strata", subnets_per_step=3,
    ramp_epochs=0.0, ramp_target_epochs=0.0, sort_channels=False)

# Lengths and rates of OFA's and CompOFA's training scripts, for 2048 images a step.
OFA = Progressive("ofa", openings=(
    Opening("kernel", "kernels", epochs=125, warmup_epochs=5, learning_rate=0.96,
            subnets_per_step=1, depths=1, expands=1, widths=1),
    Opening("depth 1", "depths", epochs=25, learning_rate=0.08,
            subnets_per_step=2, depths=2, expands=1, widths=1),
    Opening("depth 2", "depths", epochs=125, warmup_epochs=5, learning_rate=0.24,
            subnets_per_step=2, expands=1, widths=1),
    Opening("expand 1", "expands", epochs=25, learning_rate=0.08, expands=2, widths=1, protected=0),
    Opening("expand 2", "expands", epochs=125, warmup_epochs=5, learning_rate=0.24, widths=1,
            protected=1),
    # OFA's ResNet was published without a recipe: widths are opened as the ratios before them.
    Opening("width 1", "widths", epochs=25, learning_rate=0.08, widths=2),
    Opening("width 2", "widths", epochs=125, warmup_epochs=5, learning_rate=0.24)))
COMPOFA = Progressive("compofa", sampling="compound_mixed", openings=(
    Opening("compound 1", epochs=25, learning_rate=0.08, protected=0),
    Opening("compound 2", epochs=125, warmup_epochs=5, learning_rate=0.24, protected=0)))
# As DepS's authors have ported it: the largest kernel everywhere.
COMPOFA_LARGEST = dataclasses.replace(COMPOFA, name="compofa_largest", sampling="compound")

METHODS: dict[str, Method] = {method.name: method for method in (
    DEPS, BIGNAS, PLAIN, SANDWICH, ALPHANET, ATTENTIVE_BEST, ATTENTIVE_WORST, DEPS_COMPOUND,
    DEPS_CALR, DEPS_BRISK, OFA, COMPOFA, COMPOFA_LARGEST)}
