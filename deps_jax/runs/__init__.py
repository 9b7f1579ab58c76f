"""A finished run, opened again: evaluated, measured, trained on."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "trained": ["TrainedRun"],
    "finetune": ["finetune_config"],
    "measured": ["Measurements", "MeasuredAccuracy"],
})
