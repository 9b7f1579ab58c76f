"""Estimates, baselines, errors and their uncertainty."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "estimates": ["Estimates"],
    "baselines": ["CarryForward", "Tabular", "fit_baselines"],
    "intervals": ["Intervals", "calibrate"],
    "evaluate": ["Evaluation"],
    "uncertainty": ["bootstrap"],
})
