"""The network: backbones, proxy heads, sizes relative to the ruler, fusion."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "backbones": ["ResNet", "LayersBackbone"],
    "backbone_weights": ["Backbone"],
    "model": ["ModelSettings", "NurtureNet"],
})
