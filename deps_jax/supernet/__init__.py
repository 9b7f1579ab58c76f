"""All subnets in one set of parameters; masks, sorting, one subnet cut out, weights in."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "supernet": ["init", "apply"],
    "masks": ["active_masks"],
    "channel_sorting": ["sort_channels"],
    "network": ["extract"],
    "convert": ["to_state_dict"],
})
