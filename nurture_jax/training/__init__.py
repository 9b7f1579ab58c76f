"""What is learnt and how, from the losses to a whole run."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "losses": ["Losses"],
    "train": ["Recipe", "Trainer", "init_state", "train_step"],
    "experiment": ["Experiment"],
})
