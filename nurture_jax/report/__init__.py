"""The report of an evaluation: content, page, plots, model card."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "content": ["Report"],
    "facts": ["RunFacts"],
    "report": ["write"],
})
