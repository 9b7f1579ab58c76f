"""One subnet as a file, checked, and what runs it."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "export": ["ExportSettings", "Exported"],
    "runtime": ["Model", "Preprocessing"],
    "static_int8": ["quantise_statically"],
    "stablehlo": ["to_stablehlo", "from_stablehlo"],
})
