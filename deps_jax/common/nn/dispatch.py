"""Run-time choice under one compilation, with hand-written reverse rules.

`jax.lax.switch` picks the width and kernel of a block, `fori_loop` runs as many blocks as the
subnet has; both cost only what is chosen. Differentiating through them does not: the residuals of
every branch would be stored and filled with zeros. So a block saves nothing but its input, and its
pullback is a second switch whose branch recomputes the block and pulls back through it.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from deps_jax.common.loop.parallel import Tree

Index = int | jax.Array  # static or traced
Pair = tuple[Index, Index]  # (branch, inner choice)
Output = tuple[jax.Array, Tree]  # (y, statistics)


class Elastic(NamedTuple):
    """A function with choices, and its pullback.

    `choice` is a pair of integers (branch, inner choice), static or traced; `aux` is a pytree
    without gradient (running statistics).

    Attributes:
      forward: The function, (params, x, choice, aux) -> (y, statistics).
      pullback: Its pullback, (params, x, choice, aux, dy) -> (dparams, dx).
    """

    forward: Callable
    pullback: Callable


def switched(branches: Sequence[Callable]) -> Elastic:
    """The elastic function that runs `branches[choice[0]](params, x, choice[1], aux)`.

    Args:
      branches: Functions that return (y, statistics), in arrays of equal shapes.
    """
    def forward(params: Tree, x: jax.Array, choice: Pair, aux: Tree) -> Output:
        index, inner = choice
        return switch(index, [lambda *a, f=f: f(*a, inner, aux) for f in branches], params, x)

    def pullback(params: Tree, x: jax.Array, choice: Pair, aux: Tree,
                 dy: jax.Array) -> tuple[Tree, jax.Array]:
        index, inner = choice

        def pull(branch: Callable, params: Tree, x: jax.Array,
                 dy: jax.Array) -> tuple[Tree, jax.Array]:
            _, vjp, _ = jax.vjp(lambda p, x: branch(p, x, inner, aux), params, x, has_aux=True)
            return vjp(dy)

        pullbacks = [lambda *a, f=f: pull(f, *a) for f in branches]
        return switch(index, pullbacks, params, x, dy)

    return Elastic(forward, pullback)


def switch(index: Index | None, branches: Sequence[Callable], *operands: Tree) -> Tree:
    """`lax.switch`, or a plain call if there is one branch or the index is static."""
    if len(branches) == 1:
        return branches[0](*operands)
    if is_static(index):
        return branches[int(index)](*operands)
    return lax.switch(index, list(branches), *operands)


def is_static(value: object) -> bool:
    """Whether a choice is known before compilation."""
    return not isinstance(value, jax.Array)


def run_once(op: Elastic, params: Tree, x: jax.Array, choice: Pair, aux: Tree) -> Output:
    """(y, statistics) of one block, which remembers only its input for the backward pass."""
    @jax.custom_vjp
    def call(params: Tree, x: jax.Array, choice: Pair, aux: Tree) -> Output:
        return op.forward(params, x, choice, aux)

    def forward(params: Tree, x: jax.Array, choice: Pair,
                aux: Tree) -> tuple[Output, tuple[Tree, ...]]:
        return call(params, x, choice, aux), (params, x, choice, aux)

    def backward(residuals: tuple[Tree, ...],
                 cotangents: Output) -> tuple[Tree, jax.Array, None, None]:
        params, x, choice, aux = residuals
        dy, _ = cotangents  # statistics carry no gradient
        return (*op.pullback(params, x, choice, aux, dy), None, None)

    call.defvjp(forward, backward)
    return call(params, x, choice, aux)


def run_repeated(op: Elastic, params: Tree, x: jax.Array, choices: tuple[jax.Array, jax.Array],
                 aux: Tree, depth: Index, statistics: Tree) -> Output:
    """Runs the first `depth` of n equal blocks, one after the other.

    Args:
      op: The block.
      params, aux: Pytrees with a leading axis n.
      x: Input of the first block; every block returns an array of the same shape.
      choices: A pair of [n] integer arrays, branches and inner choices.
      depth: Number of blocks to run, 0 <= depth <= n, static or traced.
      statistics: Zeros in the shapes of what the n blocks return, with leading axis n: to ask the
        block itself would trace all of its branches once more.

    Returns:
      (y, statistics with leading axis n; those of blocks that did not run are zero).
    """
    count = jax.tree.leaves(params)[0].shape[0]

    def loop(params: Tree, x: jax.Array, choices: tuple[jax.Array, jax.Array], aux: Tree,
             depth: Index) -> tuple[jax.Array, jax.Array, Tree]:
        inputs = jnp.zeros((count, *x.shape), x.dtype)

        def body(i: jax.Array, carry: tuple[jax.Array, jax.Array, Tree]
                 ) -> tuple[jax.Array, jax.Array, Tree]:
            x, inputs, found = carry
            inputs = put(inputs, i, x)
            x, new = op.forward(at(params, i), x, at(choices, i), at(aux, i))
            return x, inputs, put(found, i, new)

        return lax.fori_loop(0, depth, body, (x, inputs, statistics))

    @jax.custom_vjp
    def call(params: Tree, x: jax.Array, choices: tuple[jax.Array, jax.Array], aux: Tree,
             depth: Index) -> Output:
        y, _, statistics = loop(params, x, choices, aux, depth)
        return y, statistics

    def forward(params: Tree, x: jax.Array, choices: tuple[jax.Array, jax.Array], aux: Tree,
                depth: Index) -> tuple[Output, tuple[Tree, ...]]:
        y, inputs, statistics = loop(params, x, choices, aux, depth)
        return (y, statistics), (params, inputs, choices, aux, depth)

    def backward(residuals: tuple[Tree, ...],
                 cotangents: Output) -> tuple[Tree, jax.Array, None, None, None]:
        params, inputs, choices, aux, depth = residuals

        def body(t: jax.Array, carry: tuple[jax.Array, Tree]) -> tuple[jax.Array, Tree]:
            dy, dparams = carry
            i = depth - 1 - t
            gradient, dx = op.pullback(
                at(params, i), at(inputs, i), at(choices, i), at(aux, i), dy)
            return dx, put(dparams, i, gradient)

        zeros = jax.tree.map(jnp.zeros_like, params)
        dx, dparams = lax.fori_loop(0, depth, body, (cotangents[0], zeros))
        return dparams, dx, None, None, None

    call.defvjp(forward, backward)
    return call(params, x, choices, aux, depth)


def at(tree: Tree, i: Index) -> Tree:
    """The tree of entry i of every leaf's leading axis."""
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, i, 0, keepdims=False), tree)


def put(tree: Tree, i: Index, values: Tree) -> Tree:
    """`tree` with entry i of every leaf's leading axis replaced."""
    return jax.tree.map(
        lambda leaf, value: lax.dynamic_update_index_in_dim(leaf, value, i, 0), tree, values)
