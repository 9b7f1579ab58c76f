"""Which subnet a slot trains at a step, as values: any of them goes with any method."""
from __future__ import annotations

import abc
import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.space import subnet as subnets
from deps_jax.space.cost import BlockTable, macs
from deps_jax.space.search_space import AXES, SearchSpace
from deps_jax.space.subnet import Subnet
from deps_jax.space.subnet_text import decode


class Sampler(abc.ABC):
    """Draws a subnet of a space, under jit."""

    @abc.abstractmethod
    def draw(self, key: jax.Array, space: SearchSpace) -> Subnet:
        """Draws a subnet of the space.

        Raises:
          ValueError: If the space does not allow this way of sampling.
        """


class Choosing(Sampler):
    """Draws several subnets, stacked, of which the step keeps one by its loss on the batch.

    Attributes:
      candidates: Number of subnets that are drawn.
    """

    candidates: int

    @abc.abstractmethod
    def keep(self, losses: jax.Array) -> jax.Array:
        """Position of the candidate that is trained, [] integer.

        Args:
          losses: Mean loss of each candidate on the batch, [candidates].
        """


@dataclasses.dataclass(frozen=True)
class Named(Sampler):
    """Always the same subnet: "largest", "smallest" or any other name that `decode` reads."""

    name: str

    def draw(self, key: jax.Array, space: SearchSpace) -> Subnet:
        """The static subnet of this name; the key is not used."""
        return decode(space, self.name)


@dataclasses.dataclass(frozen=True)
class Uniform(Sampler):
    """Independent uniform choices (`subnet.sample`)."""

    def draw(self, key: jax.Array, space: SearchSpace) -> Subnet:
        """Draws from the whole space."""
        return subnets.sample(key, space)


@dataclasses.dataclass(frozen=True)
class Compound(Sampler):
    """CompOFA's sampling: depth and expand ratio grow together (`subnet.sample_compound`).

    Attributes:
      kernels: Kernel size of each stage, in all its blocks; () takes the largest everywhere, as
        DepS's port does. CompOFA itself has MobileNetV3's (its `fixed_kernel` option).
    """

    kernels: tuple[int, ...] = ()

    def draw(self, key: jax.Array, space: SearchSpace) -> Subnet:
        """Draws depth and expand ratio of every stage together.

        Raises:
          ValueError: As `subnet.sample_compound`; and if the space has another number of stages
            than `kernels`, or a stage lacks its kernel.
        """
        drawn = subnets.sample_compound(key, space)
        if not self.kernels:
            return drawn
        if len(self.kernels) != len(space.stages):
            raise ValueError(f"compound sampling has the kernels {self.kernels} for "
                             f"{len(self.kernels)} stages, space {space.name!r} has "
                             f"{len(space.stages)}; choose sampling 'compound'")
        places = []
        for s, (kernel, stage) in enumerate(zip(self.kernels, space.stages, strict=True)):
            if kernel not in stage.kernels:
                raise ValueError(f"compound sampling takes kernel {kernel} in stage {s}, which "
                                 f"has {stage.kernels}; add it, or choose sampling 'compound'")
            places.append(stage.kernels.index(kernel))
        kernel = jnp.broadcast_to(jnp.array(places, jnp.int32)[:, None], drawn.kernel.shape)
        return drawn.replace(kernel=kernel)


@dataclasses.dataclass(frozen=True)
class Opened(Sampler):
    """Uniform choices in a part of the space: so many of the largest values of each list.

    Attributes:
      depths, kernels, expands, widths: How many of the largest values are open; 0 opens all.
        Widths are those of the stem, too.
    """

    depths: int = 0
    kernels: int = 0
    expands: int = 0
    widths: int = 0

    def draw(self, key: jax.Array, space: SearchSpace) -> Subnet:
        """Draws from the part that is open; positions are those in the whole space."""
        part = self.part(space)
        drawn = subnets.sample(key, part)
        closed = lambda every, some: len(every) - len(some)
        offset = {axis: np.array(list(map(closed, space.offered(axis), part.offered(axis))),
                                 np.int32) for axis in AXES}
        width = drawn.width
        if subnets.width_choices(space):
            stem = closed(space.stem_widths, part.stem_widths)
            start = jnp.zeros(1 + len(space.stages), jnp.int32) if width is None else width
            width = start + np.append(np.int32(stem), offset["widths"])
        return Subnet(drawn.depth, drawn.kernel + offset["kernels"][:, None],
                      drawn.expand + offset["expands"][:, None], width)

    def part(self, space: SearchSpace) -> SearchSpace:
        """The part of the space that is open."""
        stages = tuple(dataclasses.replace(
            stage, **{axis: getattr(stage, axis)[-getattr(self, axis):] for axis in AXES})
            for stage in space.stages)
        return dataclasses.replace(space, stages=stages,
                                   stem_widths=space.stem_widths[-self.widths:])


@dataclasses.dataclass(frozen=True)
class Stratified(Sampler):
    """Uniform over strata of equal width in MACs, then uniform over what is in the stratum.

    Uniform choices of settings crowd around the middle cost. Both draws are from a pool of uniform
    samples that is made once; a stratum without any is left out.

    Attributes:
      strata: Number of strata between the smallest and the largest subnet.
      pool: Number of uniform samples in the pool.
    """

    strata: int = 16
    pool: int = 10_000

    def draw(self, key: jax.Array, space: SearchSpace) -> Subnet:
        """Draws a stratum, then a subnet of it."""
        pool, first, last = _pool_by_cost(space, self.pool, self.strata)
        starts, ends = np.unique(first), np.unique(last)
        chosen, near = jax.random.split(key)
        one = jax.random.randint(chosen, (), 0, len(starts))
        place = jax.random.randint(near, (), jnp.asarray(starts)[one], jnp.asarray(ends)[one])
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[place].astype(jnp.int32), pool)


@dataclasses.dataclass(frozen=True)
class Either(Sampler):
    """Draws from one of two samplers, at random.

    Attributes:
      one, other: The samplers.
      share: Probability of the first one.
    """

    one: Sampler
    other: Sampler
    share: float

    def draw(self, key: jax.Array, space: SearchSpace) -> Subnet:
        """Draws from both, and keeps one."""
        which, *keys = jax.random.split(key, 3)
        is_one = jax.random.bernoulli(which, self.share)
        drawn = [sampler.draw(key, space)
                 for sampler, key in zip((self.one, self.other), keys, strict=True)]
        return jax.tree.map(lambda a, b: jnp.where(is_one, jnp.asarray(a), jnp.asarray(b)), *drawn)


@dataclasses.dataclass(frozen=True)
class Attentive(Choosing):
    """AttentiveNAS (arXiv 2011.09011): of subnets that cost about the same, the best or the worst.

    A cost is drawn as uniform sampling would draw it, then `candidates` subnets near it; the step
    keeps one by its loss on the batch (the released training's way; the paper has a predictor).
    Both draws are from a pool of uniform samples that is made once.

    Attributes:
      best: Whether the candidate with the smallest loss is kept ("best-up") or the one with the
        largest ("worst-up").
      candidates: Number of subnets that are drawn.
      bins: Number of bins of equal width in MACs, between the smallest and the largest subnet; a
        bin holds what costs about the same. (Released: 25 million MACs each.)
      pool: Number of uniform samples in the pool.
    """

    best: bool = True
    candidates: int = 3
    bins: int = 64
    pool: int = 10_000

    def draw(self, key: jax.Array, space: SearchSpace) -> Subnet:
        """Draws candidates from one bin, stacked: every leaf is [candidates, ...]."""
        pool, first, last = _pool_by_cost(space, self.pool, self.bins)
        chosen, near = jax.random.split(key)
        one = jax.random.randint(chosen, (), 0, self.pool)
        places = jax.random.randint(near, (self.candidates,), jnp.asarray(first)[one],
                                    jnp.asarray(last)[one])
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[places].astype(jnp.int32), pool)

    def keep(self, losses: jax.Array) -> jax.Array:
        """Position of the smallest loss, or of the largest, [] integer."""
        return losses.argmin() if self.best else losses.argmax()


@cache
def _pool_by_cost(space: SearchSpace, count: int, bins: int) -> tuple[Subnet, np.ndarray,
                                                                      np.ndarray]:
    """Uniform samples in the order of their MACs, with [n] start and [n] end of each one's bin."""
    with jax.ensure_compile_time_eval():
        keys = jax.random.split(jax.random.key(0), count)
        drawn = jax.device_get(jax.jit(jax.vmap(lambda key: subnets.sample(key, space)))(keys))
    cost = BlockTable.build(space, macs)
    ends = cost(subnets.stack([subnets.smallest(space), subnets.largest(space)]))
    values = cost(drawn)
    order = np.argsort(values, kind="stable")
    edges = np.digitize(values[order], np.linspace(*ends, bins + 1)[1:-1])
    pool = jax.tree.map(lambda leaf: leaf[order].astype(np.int8), drawn)
    return (pool, np.searchsorted(edges, edges, "left").astype(np.int32),
            np.searchsorted(edges, edges, "right").astype(np.int32))


SAMPLERS: dict[str, Sampler] = {
    "uniform": Uniform(), "strata": Stratified(), "compound": Compound(),
    "compound_mixed": Compound(kernels=(3, 5, 3, 3, 5)),  # CompOFA's: MobileNetV3's kernels
    "attentive_best": Attentive(), "attentive_worst": Attentive(best=False)}
