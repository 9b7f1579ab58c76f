"""A finished run, opened again: evaluated, used for an estimate, compared."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "inference": ["TrainedNurture"],
    "predict": ["Prediction", "Predictor"],
    "evaluate_run": ["evaluate_model"],
})
