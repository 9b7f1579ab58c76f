"""Batch statistics and accuracy of a subnet, and what is told of them."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "recalibration": ["Evaluator"],
    "meter": ["Evaluation", "Meter", "SubnetResult"],
})
