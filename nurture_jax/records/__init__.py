"""A data set of visits, and all that is wrong with it."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "visit": ["Visit"],
    "visits": ["Records", "Report", "assumed", "describe", "is_synthetic", "load", "validate"],
})
