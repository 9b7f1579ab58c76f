"""One function in several forms: a program holds the form of its platform alone.

`jax.lax.platform_dependent` traces all forms and leaves a conditional, which XLA has to resolve.
Here a primitive is lowered to the form of its platform: what is not used is not written anywhere,
and a program without choices of its own holds no conditional.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import mlir
from jax.tree_util import PyTreeDef

from deps_jax.common.loop.parallel import Tree


def by_platform(name: str, *, default: Callable, exported: Mapping[str, Callable] | None = None,
                **forms: Callable) -> Callable:
    """The function that runs the form of its platform, `default` where there is none.

    It has no derivative and cannot be mapped with `jax.vmap`.

    Args:
      name: Name of the primitive, as it stands in a jaxpr.
      default: A function of pytrees of arrays and of hashable keyword arguments.
      exported: Such functions by platform, in place of those of `forms` in a program that
        `jax.export` writes into a file, which other machines read.
      forms: Other such functions by platform ("cpu", "cuda"); they return arrays of the same shapes
        and types.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_abstract_eval(lambda *_, results, **__: results)

    @functools.cache
    def compiled(**parameters: Hashable) -> Callable:
        return jax.jit(functools.partial(primitive.bind, **parameters))

    primitive.def_impl(lambda *leaves, **parameters: compiled(**parameters)(*leaves))

    def rule(form: Callable) -> Callable:
        def flat(*leaves: jax.Array, arguments: PyTreeDef, static: tuple[tuple[str, Hashable], ...],
                 results: tuple[ShapedArray, ...]) -> list[jax.Array]:
            del results
            return jax.tree.leaves(form(*jax.tree.unflatten(arguments, leaves), **dict(static)))

        return mlir.lower_fun(flat)

    def chosen(here: Callable, elsewhere: Callable) -> Callable:
        def lower(context: mlir.LoweringRuleContext, *leaves: Any, **parameters: Hashable) -> Any:
            to_file = context.module_context.lowering_parameters.for_export
            return (elsewhere if to_file else here)(context, *leaves, **parameters)

        return lower

    mlir.register_lowering(primitive, rule(default))
    for platform, form in forms.items():
        own = rule(form)
        elsewhere = rule(exported[platform]) if exported and platform in exported else own
        mlir.register_lowering(primitive, chosen(own, elsewhere), platform=platform)

    def call(*arguments: Tree, **static: Hashable) -> Tree:
        leaves, tree = jax.tree.flatten(arguments)
        shapes, result_tree = jax.tree.flatten(
            jax.eval_shape(functools.partial(default, **static), *arguments))
        results = tuple(ShapedArray(shape.shape, shape.dtype) for shape in shapes)
        return jax.tree.unflatten(result_tree, primitive.bind(
            *leaves, arguments=tree, static=tuple(sorted(static.items())), results=results))

    return call
