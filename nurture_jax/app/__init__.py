"""The offline page: an exported network in the browser of a phone, with the child's growth curve.

Python hands the page everything that is said or computed with on both sides (`handed_over`);
`build` makes a folder of it that any static server can hold, and `serve` shows that folder.
"""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "serve": ["server"],
})
