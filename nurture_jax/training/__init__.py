"""What is learnt and how, from the losses to a whole run."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "losses": ["Losses"],
    "train": ["Recipe", "Trainer", "init_state", "train_step"],
    "experiment": ["Experiment"],
})
