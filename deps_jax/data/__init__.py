"""Images, from their source to batches."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "sources": ["ArraySource", "Source", "Splits"],
    "load": ["Data"],
    "augment": ["Augment"],
})
