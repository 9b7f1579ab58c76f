"""What a function computes on a device whose matrix units round their operands, told on a CPU.

GPUs round float32 to TF32 (10 bits of mantissa) and TPUs to bfloat16 (7 bits) before they multiply
matrices, unless a product asks for the highest precision. Here the traced function itself is run,
equation by equation, and the operands of its products are rounded where such a device would.
"""
import jax
import jax.numpy as jnp
from jax import lax

TF32, BFLOAT16 = 10, 7  # bits of mantissa; the exponent is that of float32
_CALLS = {"jit": "jaxpr", "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr"}


def emulate(function, mantissa_bits):
    """`function`, of arrays and pytrees of them, as such a device computes it."""
    def run(*arguments):
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _run(closed, mantissa_bits, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return run


def _run(closed, mantissa_bits, arguments):
    jaxpr = closed.jaxpr
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*closed.consts, *arguments),
                      strict=True))
    read = lambda atom: atom.val if hasattr(atom, "val") else values[atom]
    for equation in jaxpr.eqns:
        operands, name = [read(atom) for atom in equation.invars], equation.primitive.name
        if name in _CALLS:
            results = _run(equation.params[_CALLS[name]], mantissa_bits, operands)
        else:
            assert not any("jaxpr" in parameter for parameter in equation.params), name
            if name == "dot_general" and not _is_precise(equation.params["precision"]):
                operands = [_rounded(operand, mantissa_bits) for operand in operands]
            results = equation.primitive.bind(*operands, **equation.params)
            results = results if equation.primitive.multiple_results else [results]
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _is_precise(precision):
    return precision is not None and set(precision) == {lax.Precision.HIGHEST}


def _rounded(operand, mantissa_bits):
    if operand.dtype != jnp.float32:
        return operand
    return lax.reduce_precision(operand, exponent_bits=8, mantissa_bits=mantissa_bits)
