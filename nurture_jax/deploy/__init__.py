"""NurtureNet as a file: written, described, measured again, and run without JAX."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "graph": ["write"],
    "file_model": ["FileModel"],
    "export": ["ExportSettings", "export"],
})
