"""DepS and the methods beside it, from the loss to a whole run."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "methods": ["Method", "METHODS", "DEPS", "BIGNAS", "PLAIN"],
    "train": ["Recipe", "Trainer", "init_state", "train_step"],
    "experiment": ["Experiment"],
})
