"""The right subnet for a device: latency, predicted accuracy, search."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "latency": ["LatencyTable"],
    "accuracy_predictor": ["AccuracyPredictor"],
    "ofa_files": ["OfaAccuracy", "latency_costs"],
    "learning": ["learn"],
    "genome": ["Genome"],
    "search": ["Goal", "Front", "random_search"],
    "search_run": ["SearchSettings"],
})
