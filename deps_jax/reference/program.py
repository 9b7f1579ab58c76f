"""What a program holds, counted without compiling or running it."""
from __future__ import annotations

import re
from collections.abc import Iterator

import jax
from jax.extend.core import ClosedJaxpr, JaxprEqn, jaxprs_in_params

PLATFORMS = ("cpu", "cuda", "tpu")


def equations(jaxpr: ClosedJaxpr) -> Iterator[JaxprEqn]:
    """Yields all equations, those of the functions, loops and branches inside included."""
    todo = [jaxpr.jaxpr]
    while todo:
        for equation in todo.pop().eqns:
            yield equation
            todo += jaxprs_in_params(equation.params)


def conditionals(traced: jax.stages.Traced) -> dict[str, int]:
    """How many choices a program leaves to run time, by where they are counted.

    On a GPU every one of them is decided by the host, which waits for the device.

    Args:
      traced: The program, as `jax.jit(function).trace(*arguments)` gives it.

    Returns:
      Counts by place. "jaxpr" is the traced function; "cpu", "cuda" and "tpu" are the
      `stablehlo.case` and `stablehlo.if` in what is lowered for these platforms (no such device
      is needed).
    """
    counts = {"jaxpr": sum(equation.primitive.name == "cond" for equation in equations(
        traced.jaxpr))}
    for platform in PLATFORMS:
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        counts[platform] = len(re.findall(r"\bstablehlo\.(?:case|if)\b", text))
    return counts
