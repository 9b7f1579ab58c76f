"""A finished run, opened again: evaluated, measured, trained on."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "trained": ["TrainedRun"],
    "finetune": ["finetune_config"],
    "measured": ["Measurements", "MeasuredAccuracy"],
})
