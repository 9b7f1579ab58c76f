"""How many multiply-adds a machine can do in a second, measured on a product of matrices."""
from __future__ import annotations

import time
from functools import cache

import jax
import jax.numpy as jnp

SIDE = {"cpu": 1024}  # of the matrices; large enough to keep all cores or units busy
_ELSEWHERE, _ROUNDS, _LEAST_S = 8192, 3, 0.05


@cache
def peak_macs_per_second(dtype: str = "float32") -> float:
    """Multiply-adds a second of all local devices, at the precision of training; in under a second.

    What a training reaches of it is its share of the peak: convolutions of few channels, sums and
    memory keep it below 1.

    Args:
      dtype: Type of the numbers.
    """
    device = jax.local_devices()[0]
    side = SIDE.get(device.platform, _ELSEWHERE)
    ones = jax.device_put(jnp.ones((side, side), dtype), device)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(ones, ones))
    # Virtual devices of a CPU share its cores.
    devices = 1 if device.platform == "cpu" else jax.local_device_count()
    return devices * side**3 / min(_seconds(product, ones) for _ in range(_ROUNDS))


def _seconds(product: jax.stages.Wrapped, ones: jax.Array) -> float:
    """Seconds of one product, from as many as take _LEAST_S."""
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < _LEAST_S or not count:
        jax.block_until_ready(product(ones, ones))
        count += 1
    return passed / count
