"""Products of float32 matrices that are not rounded, wherever they run; the type of sums.

By default a GPU of NVIDIA rounds the numbers of float32 matrices and convolutions to TF32 (11
significant bits) before it multiplies them, and a TPU to bfloat16 (8 bits). What that does to which
product is told in docs/method.md.
"""
from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

EXACT = lax.Precision.HIGHEST  # of a product; what `jax.default_matmul_precision` says is overruled

# As a decorator: all products that a function is made of, and does not ask for itself, are exact.
full_precision = jax.default_matmul_precision("highest")

exact_product = partial(jnp.matmul, precision=EXACT)
exact_einsum = partial(jnp.einsum, precision=EXACT)


def sum_dtype(x: jax.Array) -> jnp.dtype:
    """Type in which values of an array are summed: its own, and float32 where that is narrower."""
    return jnp.promote_types(x.dtype, jnp.float32)
