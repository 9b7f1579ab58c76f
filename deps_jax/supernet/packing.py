"""Parameters as two vectors: those that weight decay takes, and those that it spares.

A supernet has more than a hundred small arrays. To scale, join and step them one by one takes a
thousand kernels a step, each to be compiled and launched; on two vectors it takes ten, and devices
exchange two arrays. All of it is elementwise, so nothing else changes.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from deps_jax.common.loop.optim import decayed
from deps_jax.common.loop.parallel import Tree
from deps_jax.common.nn.pieces import split

Packed = dict[str, jax.Array]  # {"kernel": [n], "bias": [m]}: names that `optim.decayed` knows
NAMES = {True: "kernel", False: "bias"}


@dataclasses.dataclass(frozen=True)
class Packing:
    """Where every parameter lies in the vectors.

    Attributes:
      structure: Structure of the tree of parameters.
      shapes: Shape of every leaf.
      names: Name of the vector that holds it.
    """

    structure: jax.tree_util.PyTreeDef
    shapes: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, params: Tree) -> Packing:
        """The packing of a tree of arrays of one dtype."""
        leaves, structure = jax.tree.flatten(params)
        assert len({leaf.dtype for leaf in leaves}) == 1, "a vector has one dtype"
        return cls(structure, tuple(leaf.shape for leaf in leaves),
                   tuple(NAMES[one] for one in jax.tree.leaves(decayed(params))))

    def pack(self, tree: Tree) -> Packed:
        """The vectors of a tree like the parameters; leaves are broadcast to their shapes."""
        leaves = self.structure.flatten_up_to(tree)
        return {name: jnp.concatenate([
            jnp.broadcast_to(leaf, shape).reshape(-1)
            for leaf, shape, own in zip(leaves, self.shapes, self.names, strict=True)
            if own == name]) for name in sorted(set(self.names))}

    def unpack(self, packed: Packed) -> Tree:
        """The tree of vectors."""
        leaves = {name: iter(split(vector, tuple(
            shape for shape, own in zip(self.shapes, self.names, strict=True) if own == name)))
            for name, vector in packed.items()}
        return self.structure.unflatten([next(leaves[name]) for name in self.names])

    def pack_all(self, state: Tree) -> Tree:
        """A state of an optimizer with every tree like the parameters packed."""
        return _each(state, lambda part: jax.tree.structure(part) == self.structure, self.pack)

    def unpack_all(self, state: Tree) -> Tree:
        """The inverse of `pack_all`."""
        names = set(self.names)
        return _each(state, lambda part: isinstance(part, dict) and set(part) == names,
                     self.unpack)


def _each(tree: Tree, is_one: Callable[[Tree], bool], change: Callable[[Tree], Tree]) -> Tree:
    return jax.tree.map(lambda part: change(part) if is_one(part) else part, tree, is_leaf=is_one)
