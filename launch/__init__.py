"""Command lines: flags in, one call, nothing else.

Where a package of an extra is missing, one sentence says which.
"""
import deps_jax.common.extras  # noqa: F401
