"""Advice, and the gate that refuses a recording."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "advice": ["Advice", "advise"],
    "thresholds": ["Earlier"],
    "assessment": ["Assessment", "assess"],
    "checks": ["Limits"],
    "recording_gate": ["Gate", "inspect"],
})
