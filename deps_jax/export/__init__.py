"""One subnet as a file, checked, and what runs it."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "export": ["ExportSettings", "Exported"],
    "runtime": ["Model", "Preprocessing"],
    "static_int8": ["quantise_statically"],
    "stablehlo": ["to_stablehlo", "from_stablehlo"],
})
