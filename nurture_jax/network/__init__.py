"""The network: backbones, proxy heads, sizes relative to the ruler, fusion."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "backbones": ["ResNet", "LayersBackbone"],
    "backbone_weights": ["Backbone"],
    "model": ["ModelSettings", "NurtureNet"],
})
