"""Videos as clips: decoded once, read in batches, augmented."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "clip_augment": ["ClipAugment"],
    "clip_cache": ["ClipCache", "open_cache"],
    "clip_batches": ["ClipBatches", "ClipSource", "eval_batches"],
})
