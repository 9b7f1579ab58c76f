"""The right subnet for a device: latency, predicted accuracy, search."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "latency": ["LatencyTable"],
    "accuracy_predictor": ["AccuracyPredictor"],
    "ofa_files": ["OfaAccuracy", "latency_costs"],
    "learning": ["learn"],
    "search": ["Genome", "Goal", "Front", "random_search"],
    "search_run": ["SearchSettings"],
})
