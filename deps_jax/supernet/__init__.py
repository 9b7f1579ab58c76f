"""All subnets in one set of parameters; masks, sorting, one subnet cut out, weights in."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "supernet": ["init", "apply"],
    "masks": ["active_masks"],
    "channel_sorting": ["sort_channels"],
    "network": ["extract"],
    "convert": ["to_state_dict"],
})
