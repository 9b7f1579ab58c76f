"""NurtureNet as a file: written, described, measured again, and run without JAX."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "graph": ["write"],
    "file_model": ["FileModel"],
    "export": ["ExportSettings", "Exported"],
})
