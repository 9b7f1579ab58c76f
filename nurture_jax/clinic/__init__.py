"""Advice, and the gate that refuses a recording."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "advice": ["Advice", "advise"],
    "thresholds": ["Earlier"],
    "assessment": ["Assessment", "assess"],
    "checks": ["Limits"],
    "recording_gate": ["Gate", "inspect"],
})
