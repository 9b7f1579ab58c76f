"""DepS and the methods beside it, from the loss to a whole run."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "losses": ["LOSSES", "AlphaDivergence", "Distillation", "Hard", "Loss", "Target"],
    "samplers": ["SAMPLERS", "Attentive", "Compound", "Named", "Opened", "Sampler", "Uniform"],
    "rates": ["WEIGHTS", "ByComplexity", "Weight", "ramp"],
    "phases": ["Phase", "Plan", "Slot"],
    "method": ["Method"],
    "sandwich": ["Sandwich"],
    "progressive": ["Opening", "Progressive"],
    "methods": ["METHODS", "DEPS", "BIGNAS", "PLAIN", "OFA", "COMPOFA", "ALPHANET"],
    "train": ["Recipe", "init_state", "train_step"],
    "trainer": ["Trainer"],
    "experiment": ["Experiment"],
})
