"""Data parallelism: the one place that knows about devices.

A function of (state, batch, extra) is written for its share of the batch; inside it,
`mean_over_devices` is the only communication. `data_parallel` maps it over the devices with the
state replicated, so that a step on two devices equals a step on one.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp

AXIS = "data"  # name of the mapped axis


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def mean_over_devices(x, axis_name: str | None):
    """Mean of a pytree over the mapped axis; the identity when `axis_name` is None.

    The gradient of a mean is the mean of the gradients: with it, differentiating a device's own
    loss gives that device's share of the gradient of the summed loss, whatever flowed between
    devices on the way.
    """
    return x if axis_name is None else jax.lax.pmean(x, axis_name)


def _mean_forward(x, axis_name):
    return mean_over_devices(x, axis_name), None


def _mean_backward(axis_name, _, cotangent):
    return (mean_over_devices(cotangent, axis_name),)


mean_over_devices.defvjp(_mean_forward, _mean_backward)


def first_index(local_batch: int, axis_name: str | None) -> jax.Array | int:
    """Position in the global batch of this device's first example.

    Random numbers drawn by this position do not depend on how many devices share the batch.
    """
    return 0 if axis_name is None else jax.lax.axis_index(axis_name) * local_batch


def shard_batch(batch, device_count: int):
    """[b, ...] arrays of a batch as [device_count, b / device_count, ...].

    Raises:
      ValueError: when a batch size does not divide by the number of devices.
    """
    def split(x):
        if x.shape[0] % device_count:
            raise ValueError(
                f"batch size {x.shape[0]} does not divide by {device_count} devices; use a "
                f"multiple of {device_count}"
            )
        return x.reshape(device_count, x.shape[0] // device_count, *x.shape[1:])

    return jax.tree.map(split, batch)


def data_parallel(fn: Callable, *, devices: Sequence[jax.Device] | None = None,
                  donate: bool = False) -> Callable:
    """Compiles `fn(state, batch, extra, *, axis_name) -> outputs` for every local device.

    On one device this is `jax.jit`; on several, `jax.pmap` over `AXIS` with `state`, `extra` and
    outputs replicated (the function must make its results equal on all devices) and the batch
    divided.

    Args:
      fn: written for one device's share; receives `axis_name=AXIS`, or None on a single device.
      donate: the state's memory is reused, so the caller keeps only what comes back.
    """
    devices = list(devices or jax.local_devices())
    donated = (0,) if donate else ()
    if len(devices) == 1:
        return jax.jit(partial(fn, axis_name=None), donate_argnums=donated)
    mapped = jax.pmap(partial(fn, axis_name=AXIS), AXIS, in_axes=(None, 0, None), out_axes=None,
                      devices=devices, donate_argnums=donated)
    # Virtual CPU devices share few threads: with two programs under way, one device can wait in
    # the first for another that waits in the second, until XLA aborts the process.
    finished = jax.block_until_ready if devices[0].platform == "cpu" else lambda outputs: outputs
    return lambda state, batch, extra: finished(
        mapped(state, shard_batch(batch, len(devices)), extra))


def check_batch_size(batch_size: int, device_count: int | None = None) -> None:
    """Raises ValueError unless the batch divides by the devices; cheap, for before a run."""
    if batch_size < 1:
        raise ValueError(f"batch size {batch_size} must be 1 or more")
    device_count = device_count or jax.local_device_count()
    shard_batch(jnp.empty((batch_size, 0)), device_count)
