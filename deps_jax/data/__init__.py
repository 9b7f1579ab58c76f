"""Images, from their source to batches."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "sources": ["ArraySource", "Source", "Splits"],
    "load": ["Data"],
    "augment": ["Augment"],
})
