"""A finished run, opened again: evaluated, used for an estimate, compared."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "inference": ["TrainedNurture"],
    "predict": ["Prediction", "Predictor"],
    "evaluate_run": ["evaluate_model"],
})
