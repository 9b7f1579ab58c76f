"""Data parallelism: the one place that knows about devices.

A function of (state, batch, extra) is written for its share of the batch; inside it,
`mean_over_devices` is the only communication. `data_parallel` maps it over the devices with the
state replicated, so that a step on two devices equals a step on one.
"""
from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from deps_jax.common.compiled import programs
from deps_jax.common.compiled.programs import Program
from deps_jax.common.loop.goodput import Spending

AXIS = "data"  # name of the mapped axis
# Values of an array that is joined with others before devices exchange it. Above, what starting an
# exchange takes is little beside the exchange, and a joined copy would take memory (our choice).
JOINED = 1 << 16
_WORTH_TELLING_S = 2
Tree = Any  # a pytree of arrays, such as nested dicts of them


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def mean_over_devices(x: Tree, axis_name: str | None) -> Tree:
    """Mean of a pytree over the mapped axis; the identity when `axis_name` is None.

    Small arrays of one type travel together: of a tree of them, devices exchange one array.

    The gradient of a mean is the mean of the gradients: with it, differentiating a device's own
    loss gives that device's share of the gradient of the summed loss, whatever flowed between
    devices on the way.
    """
    if axis_name is None:
        return x
    leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, x))
    together: dict[Any, list[int]] = {}
    for i, leaf in enumerate(leaves):
        together.setdefault(leaf.dtype if leaf.size <= JOINED else i, []).append(i)
    for places in together.values():
        if len(places) == 1:
            leaves[places[0]] = jax.lax.pmean(leaves[places[0]], axis_name)
            continue
        own = [leaves[i] for i in places]
        vector = jax.lax.pmean(jnp.concatenate([leaf.reshape(-1) for leaf in own]), axis_name)
        starts = [0, *np.cumsum([leaf.size for leaf in own])]
        for i, leaf, (start, stop) in zip(places, own, pairwise(starts), strict=True):
            leaves[i] = jax.lax.slice(vector, (start,), (stop,)).reshape(leaf.shape)
    return structure.unflatten(leaves)


def _mean_forward(x: Tree, axis_name: str | None) -> tuple[Tree, None]:
    return mean_over_devices(x, axis_name), None


def _mean_backward(axis_name: str | None, _: None, cotangent: Tree) -> tuple[Tree]:
    return (mean_over_devices(cotangent, axis_name),)


mean_over_devices.defvjp(_mean_forward, _mean_backward)


def first_index(local_batch: int, axis_name: str | None) -> jax.Array | int:
    """Position in the global batch of this device's first example.

    Random numbers drawn by this position do not depend on how many devices share the batch.
    """
    return 0 if axis_name is None else jax.lax.axis_index(axis_name) * local_batch


def keys_of(key: jax.Array, first: jax.Array | int, count: int) -> jax.Array:
    """Keys [count], one for each place in the global batch from `first` on."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(count))


@struct.dataclass
class Placed:
    """A batch that lies on the devices, each one's share on it.

    Attributes:
      shares: Arrays [devices of this process, share, ...]; of one device alone [b, ...].
    """

    shares: Tree


def shard_batch(batch: Tree, device_count: int) -> Tree:
    """A batch of arrays [b, ...] as one of [device_count, b / device_count, ...].

    Raises:
      ValueError: If the batch size does not divide by the number of devices.
    """
    def split(x: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
        if x.shape[0] % device_count:
            raise ValueError(
                f"batch size {x.shape[0]} does not divide by {device_count} devices; use a "
                f"multiple of {device_count}"
            )
        return x.reshape(device_count, x.shape[0] // device_count, *x.shape[1:])

    return jax.tree.map(split, batch)


def data_parallel(fn: Callable, *, devices: Sequence[jax.Device] | None = None,
                  donate: bool = False, name: str = "", made_of: tuple = ()) -> DataParallel:
    """Maps `fn(state, batch, extra, *, axis_name) -> outputs` over devices.

    On one device this is `jax.jit`; on several, `jax.pmap` over `AXIS` with `state`, `extra` and
    outputs replicated (the function must make its results equal on all devices) and the batch
    divided. Devices may be those of several processes, which then call it together, each with its
    own share of the batch (see `processes.together.my_places`); what comes back lies on its own.

    Args:
      fn: Function written for one device's share; it receives `axis_name=AXIS`, or None on a single
        device.
      devices: The devices; None is all of this process.
      donate: Whether the state's memory is reused, so that the caller keeps only what comes back.
      name: What it is called where compilation is told.
      made_of: All that `fn` depends on beside its arguments, `fn` included; its programs are then
        kept on disk, see `programs`. () keeps none, nor is a program kept that several processes
        run together: each would read another part of it, and one that finds none would wait for
        the others while it compiles.
    """
    devices = list(devices or jax.local_devices())
    donated = (0,) if donate else ()
    alone = all(one.process_index == jax.process_index() for one in devices)
    program = Program((*made_of, donate)) if made_of and alone else None
    if len(devices) == 1:
        mapped = jax.jit(partial(fn, axis_name=None), donate_argnums=donated)
    else:
        mapped = jax.pmap(partial(fn, axis_name=AXIS), AXIS, in_axes=(None, 0, None),
                          out_axes=None, devices=devices, donate_argnums=donated)
    return DataParallel(mapped, devices, name, program)


class DataParallel:
    """A function made by `data_parallel`: called as it is, or lowered and compiled before.

    State and extra are brought to the devices first, if they are not there: arrays that lie
    elsewhere (a new state, a restored one) would make JAX compile the same program once more.
    """

    def __init__(self, mapped: Callable, devices: Sequence[jax.Device], name: str = "",
                 program: Program | None = None) -> None:
        self._mapped, self._devices, self._name = mapped, devices, name
        self._program, self._ready = program, {}
        self._own = [one for one in devices if one.process_index == jax.process_index()]
        self._sharding, self._divided = shardings(self._own, alone=len(devices) == 1)

    def __call__(self, state: Tree, batch: Tree, extra: Tree) -> Tree:
        state, extra = self.place((state, extra))
        arguments = state, self._shares(batch), extra
        if self._program is None:
            outputs = self._mapped(*arguments)
        else:
            signature = _signature(arguments)
            if signature not in self._ready:
                self._ready[signature] = self._obtain(state, batch, extra)
            outputs = self._ready[signature](*arguments)
        # Virtual CPU devices share few threads: with two programs under way, one device can wait in
        # the first for another that waits in the second, until XLA aborts the process.
        if len(self._devices) > 1 and self._devices[0].platform == "cpu":
            jax.block_until_ready(outputs)
        return outputs

    def trace(self, state: Tree, batch: Tree, extra: Tree) -> jax.stages.Traced:
        """The traced program for such arguments, neither compiled nor run.

        It can be lowered for other platforms than that of the devices. Arguments and errors are
        those of `lower`.
        """
        # `jax.pmap` cannot be traced alone.
        mapped = self._mapped if len(self._devices) == 1 else jax.jit(self._mapped)
        return mapped.trace(self.shapes(state), jax.eval_shape(self._shares, batch),
                            self.shapes(extra))

    def lower(self, state: Tree, batch: Tree, extra: Tree) -> jax.stages.Lowered:
        """What `compile` compiles for these arguments.

        Args:
          state, batch, extra: Pytrees of arrays, or of jax.ShapeDtypeStruct in their place.

        Raises:
          ValueError: If the batch does not divide by the devices.
        """
        return self._mapped.lower(*self._arguments(state, batch, extra))

    def compile(self, lowered: jax.stages.Lowered) -> jax.stages.Compiled:
        """Compiles what `lower` has made; calls with such arguments do not compile again.

        Raises:
          ValueError: If the program needs more memory than a device has.
        """
        return self._compiled_or_read(lowered)[0]

    def _compiled_or_read(self, lowered: jax.stages.Lowered) -> tuple[jax.stages.Compiled, bool]:
        """What `compile` returns, and whether JAX had it in its own cache."""
        try:
            compiled, read = programs.compiled_or_read(lowered)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise ValueError(f"the program does not fit the device ({str(error).splitlines()[0]}); "
                             f"use a smaller batch or network") from error
        needed, limit = memory_bytes(compiled), (self._own[0].memory_stats() or {}).get(
            "bytes_limit", math.inf)
        if needed > limit:
            raise ValueError(f"the program needs {needed / 1e6:.1f} MB and a device has "
                             f"{limit / 1e6:.1f} MB; use a smaller batch or network")
        return compiled, read

    def prepare(self, state: Tree, batch: Tree, extra: Tree, spending: Spending,
                pool: Executor) -> Future:
        """Makes ready ahead of the first call; prints the seconds and the memory that it takes.

        A kept program is read. Otherwise it is traced and lowered here, which holds Python's lock,
        and compiled in the pool, beside what is prepared next.

        Args:
          state, batch, extra: As of `lower`.
          spending: Counts the time of tracing.

        Returns:
          What waits for the end, and raises ValueError as `compile`.

        Raises:
          ValueError: As `lower`.
        """
        arguments = self._arguments(state, batch, extra)
        settings = self._program and self._program.settings(arguments)
        key = programs.key_of(settings, self._devices)
        started, signature = time.monotonic(), _signature(arguments)
        if programs.is_kept(key):
            return pool.submit(self._read, key, settings, arguments, signature)
        self._announce(settings)
        if len(self._own) < len(self._devices):  # shapes do not do for `jax.pmap` then
            arguments = jax.tree.map(self._anything, arguments)
        with spending.on("trace"):
            lowered = self._mapped.lower(*arguments)
        traced = time.monotonic() - started
        return pool.submit(self._finish, key, settings, lowered, signature, traced)

    def _read(self, key: str, settings: str, arguments: tuple[Tree, ...],
              signature: tuple) -> jax.stages.Compiled:
        """A kept program; one that cannot be used is compiled after all."""
        started = time.monotonic()
        compiled = programs.load(key, self._devices)
        if compiled is None:
            return self._finish(key, settings, self._mapped.lower(*arguments), signature,
                                time.monotonic() - started)
        self._ready[signature] = compiled
        print(f"{self._name}: read from the cache in {time.monotonic() - started:.0f} s, takes "
              f"{memory_bytes(compiled) / 1e6:.0f} MB", flush=True)
        return compiled

    def _finish(self, key: str | None, settings: str | None, lowered: jax.stages.Lowered,
                signature: tuple, traced_s: float) -> jax.stages.Compiled:
        started = time.monotonic()
        compiled, read = self._compiled_or_read(lowered)
        self._ready[signature] = compiled
        compiled_s = time.monotonic() - started
        print(f"{self._name}: traced in {traced_s:.0f} s, compiled in {compiled_s:.0f} s, takes "
              f"{memory_bytes(compiled) / 1e6:.0f} MB", flush=True)
        programs.keep(key, settings, compiled, traced_s + compiled_s, read)
        return compiled

    def _obtain(self, state: Tree, batch: Tree, extra: Tree) -> jax.stages.Compiled:
        """The program for such arguments, read or compiled now."""
        arguments = self._arguments(state, batch, extra)
        settings = self._program.settings(arguments)
        key = programs.key_of(settings, self._devices)
        compiled = programs.load(key, self._devices)
        if compiled is None:
            self._announce(settings)
            started = time.monotonic()
            compiled, read = self._compiled_or_read(self._mapped.lower(*arguments))
            programs.keep(key, settings, compiled, time.monotonic() - started, read)
        return compiled

    def _announce(self, settings: str | None) -> None:
        """Says what is compiled, if it is known to take a while."""
        last_s = programs.seconds(settings) or 0
        if last_s >= _WORTH_TELLING_S:
            print(f"{self._name}: tracing and compiling, {last_s:.0f} s the last time",
                  file=sys.stderr, flush=True)

    def _arguments(self, state: Tree, batch: Tree, extra: Tree) -> tuple[Tree, Tree, Tree]:
        """Shapes, types and places of the arguments."""
        return (self.shapes(state), jax.eval_shape(self._shares, batch), self.shapes(extra))

    def share(self, batch: Tree) -> Placed:
        """Brings every device its share of a batch; a call with what comes back copies nothing.

        Args:
          batch: The examples that this process's devices take, as NumPy arrays [b, ...].

        Raises:
          ValueError: If the batch does not divide by the devices.
        """
        return Placed(jax.device_put(self._shares(batch), self._divided))

    def place(self, tree: Tree) -> Tree:
        """Brings the arrays of a state to the devices, unless they are there."""
        # To ask costs a tenth of what it costs to place what is there already.
        there = all(isinstance(leaf, jax.Array) and leaf.committed
                    and leaf.sharding == self._sharding for leaf in jax.tree.leaves(tree))
        return tree if there else jax.device_put(tree, self._sharding)

    def shapes(self, tree: Tree) -> Tree:
        """Shapes, types and place that the arrays of a state have once it is on the devices."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype,
                                                              sharding=self._sharding), tree)

    def _anything(self, shape: jax.ShapeDtypeStruct) -> jax.Array | np.ndarray:
        """An array of such a shape, whose values do not matter."""
        if jnp.issubdtype(shape.dtype, jax.dtypes.prng_key):
            return self.place(jax.random.split(jax.random.key(0), shape.shape))
        zeros = np.zeros(shape.shape, shape.dtype)
        return self.place(jnp.asarray(zeros)) if shape.sharding else zeros

    def _shares(self, batch: Tree) -> Tree:
        if isinstance(batch, Placed):
            return batch.shares
        return batch if len(self._devices) == 1 else shard_batch(batch, len(self._own))


def shardings(own: Sequence[jax.Device], alone: bool) -> tuple[Sharding, Sharding]:
    """Where states lie, on each device whole, and where batches do: those of `jax.pmap`.

    Args:
      own: The devices of this process.
      alone: Whether there is but this one device; it takes batches as they are.
    """
    if alone:
        return (SingleDeviceSharding(own[0]),) * 2
    mesh = Mesh(np.array(own), (AXIS,))
    return NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(AXIS))


def _signature(arguments: tuple[Tree, ...]) -> tuple:
    leaves, structure = jax.tree.flatten(arguments)
    return structure, *((leaf.shape, leaf.dtype) for leaf in leaves)


def memory_bytes(compiled: jax.stages.Compiled) -> int:
    """Bytes that a program takes on each device while it runs, its arguments included."""
    memory = compiled.memory_analysis()
    return (memory.argument_size_in_bytes + memory.output_size_in_bytes
            - memory.alias_size_in_bytes + memory.temp_size_in_bytes
            + memory.generated_code_size_in_bytes)


def check_batch_size(batch_size: int, device_count: int | None = None) -> None:
    """Raises ValueError unless the batch can be shared among the devices.

    It costs little, so it can be asked before a run.

    Args:
      device_count: Number of devices; None is that of all of this process.
    """
    if batch_size < 1:
        raise ValueError(f"batch size {batch_size} must be 1 or more")
    device_count = device_count or jax.local_device_count()
    shard_batch(np.empty((batch_size, 0)), device_count)
