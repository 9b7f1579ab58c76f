"""A data set of visits, and all that is wrong with it."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "visit": ["Visit"],
    "visits": ["Records", "Report", "assumed", "describe", "is_synthetic", "load", "validate"],
})
