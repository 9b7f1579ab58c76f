"""Videos as clips: decoded once, read in batches, augmented."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "clip_augment": ["ClipAugment"],
    "clip_cache": ["ClipCache", "open_cache"],
    "clip_batches": ["ClipBatches", "ClipSource", "eval_batches"],
})
