"""The report of an evaluation: content, page, plots, model card."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "content": ["Report"],
    "facts": ["RunFacts"],
    "report": ["write"],
})
