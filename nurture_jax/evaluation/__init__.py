"""Estimates, baselines, errors and their uncertainty."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "estimates": ["Estimates"],
    "baselines": ["CarryForward", "Tabular", "fit_baselines"],
    "intervals": ["Intervals", "calibrate"],
    "evaluate": ["Evaluation"],
    "uncertainty": ["bootstrap"],
})
