"""Batch statistics and accuracy of a subnet, and what is told of them."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "recalibration": ["Evaluator"],
    "meter": ["Evaluation", "Meter", "SubnetResult"],
})
