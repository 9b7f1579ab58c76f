"""How many choices a compiled function leaves to run time.

On a GPU the host waits for the index of each before it goes on; nowhere does XLA look across it.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

PLATFORMS = ("cpu", "cuda", "tpu")


def count_conditionals(fn: Callable, *arguments) -> dict[str, int]:
    """Conditionals of `fn`, which is traced and lowered but neither compiled nor run.

    Args:
      arguments: of the function, arrays or their shapes.

    Returns:
      "jaxpr": the `cond` equations, those inside loops and inner functions counted once each;
      and for each of PLATFORMS: the `case` and `if` operations of the StableHLO made for it, which
      needs no such device.
    """
    traced = jax.jit(fn).trace(*arguments)
    counts = {"jaxpr": sum(equation.primitive.name == "cond"
                           for equation in _equations(traced.jaxpr.jaxpr))}
    for platform in PLATFORMS:
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        counts[platform] = len(re.findall(r"\bstablehlo\.(?:case|if)\b", text))
    return counts


def _equations(jaxpr: Jaxpr) -> Iterator:
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from _equations(getattr(inner, "jaxpr", inner))


def _is_jaxpr(value) -> bool:
    return isinstance(value, (Jaxpr, ClosedJaxpr))
