"""What a function computes on a device whose matrix units round their operands, told on a CPU.

GPUs round float32 to TF32 (10 bits of mantissa) and TPUs to bfloat16 (7 bits) before they multiply
matrices or convolve, unless a product asks for the highest precision. Here the traced function
itself is run, equation by equation, and the operands of its products are rounded where such a
device would. Loops and choices stay what they are, so that the result can be compiled.
"""
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, jaxprs_in_params

from deps_jax.common.nn import depthwise_native

TF32, BFLOAT16 = 10, 7  # bits of mantissa; the exponent is that of float32
_CALLS = {"jit": "jaxpr", "remat2": "jaxpr", "checkpoint": "jaxpr", "closed_call": "call_jaxpr",
          "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr"}
_PRODUCTS = ("dot_general", "conv_general_dilated")
_DEFAULT, _HIGHEST = (lax.Precision.DEFAULT,) * 2, (lax.Precision.HIGHEST,) * 2
# What `by_platform` writes on a GPU (TF32) and on a TPU (bfloat16), whatever it runs on here.
_FORMS = {
    (TF32, "depthwise_pullback"): partial(
        depthwise_native.pull_back, kernel_gradient=depthwise_native.cuda_kernel_gradient),
    (BFLOAT16, "depthwise_pullback"): partial(
        depthwise_native.pull_back, kernel_gradient=depthwise_native.native_kernel_gradient),
    (TF32, "depthwise"): depthwise_native.convolve,
    (BFLOAT16, "depthwise"): depthwise_native.convolve,
}


def emulate(function, mantissa_bits, *, rounds_all=False):
    """`function`, of arrays and pytrees of them, as such a device computes it.

    `rounds_all`: also what asks for the highest precision is rounded, as on no device, to see what
    asking for it is good for.
    """
    def run(*arguments):
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _Device(mantissa_bits, rounds_all).run(closed, *jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return run


class _Device:
    def __init__(self, mantissa_bits, rounds_all):
        self._bits, self._rounds_all = mantissa_bits, rounds_all

    def run(self, jaxpr, *arguments):
        jaxpr, consts = (jaxpr.jaxpr, jaxpr.consts) if isinstance(jaxpr, ClosedJaxpr) else (
            jaxpr, ())
        values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))
        read = lambda atom: atom.val if hasattr(atom, "val") else values[atom]
        for equation in jaxpr.eqns:
            operands = [read(atom) for atom in equation.invars]
            results = self._result(equation.primitive, operands, equation.params)
            values.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _result(self, primitive, operands, params):
        name = primitive.name
        if name in _CALLS:
            return self.run(params[_CALLS[name]], *operands)
        if special := getattr(self, f"_{name}", None):
            return special(operands, params)
        if form := _FORMS.get((self._bits, name)):
            return self._by_platform(form, operands, params)
        assert not any(equation.primitive.name in _PRODUCTS for inner in jaxprs_in_params(params)
                       for equation in inner.eqns), name
        if name in _PRODUCTS and not self._is_exact(params["precision"]):
            operands = [self._rounded(operand) for operand in operands]
        results = primitive.bind(*operands, **params)
        return results if primitive.multiple_results else [results]

    def _scan(self, operands, params):
        fixed, carried = params["num_consts"], params["num_consts"] + params["num_carry"]

        def body(carry, x):
            results = self.run(params["jaxpr"], *operands[:fixed], *carry, *x)
            return results[:carried - fixed], results[carried - fixed:]

        carry, stacked = lax.scan(body, operands[fixed:carried], operands[carried:],
                                  length=params["length"], reverse=params["reverse"])
        return [*carry, *stacked]

    def _while(self, operands, params):
        asked = params["cond_nconsts"]
        fixed = asked + params["body_nconsts"]
        return lax.while_loop(
            lambda carry: self.run(params["cond_jaxpr"], *operands[:asked], *carry)[0],
            lambda carry: self.run(params["body_jaxpr"], *operands[asked:fixed], *carry),
            operands[fixed:])

    def _cond(self, operands, params):
        index, *others = operands
        return lax.switch(index, [partial(self.run, branch) for branch in params["branches"]],
                          *others)

    def _by_platform(self, form, operands, params):
        def flat(*leaves):
            arguments = jax.tree.unflatten(params["arguments"], leaves)
            return jax.tree.leaves(form(*arguments, **dict(params["static"])))

        return self.run(jax.make_jaxpr(flat)(*operands), *operands)

    def _is_exact(self, precision):
        assert precision in (None, _DEFAULT, _HIGHEST), precision
        return precision == _HIGHEST and not self._rounds_all

    def _rounded(self, operand):
        if operand.dtype != jnp.float32:
            return operand
        return lax.reduce_precision(operand, exponent_bits=8, mantissa_bits=self._bits)
