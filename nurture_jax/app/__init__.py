"""The offline page: an exported network in the browser of a phone, with the child's growth curve.

Python hands the page everything that is said or computed with on both sides (`handed_over`);
`build` makes a folder of it that any static server can hold, and `serve` shows that folder.
"""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "handed_over": ["handed_over"],
    "build": ["build"],
    "serve": ["server"],
})
