"""ONNX models of functions of JAX: what is traced once, node by node, for arrays of any b and t.

    model = write(function, {"x": ("float32", (*sizes("b"), 3))})

Layers of networks are not taken apart: a function marks them by `layer`, and they are written as
those of `onnx_writer` are, with batch norm folded and kernels in the asked precision. All the rest
follows the code that is run in JAX, so that a change there needs nothing here.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
import onnx
from jax import export
from jax.core import ShapedArray
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Primitive, primitives
from onnx import helper

from deps_jax.export import onnx_writer
from deps_jax.export.onnx_writer import Graph, Weights
from deps_jax.export.traced_loop import loop
from deps_jax.export.traced_rules import RULES
from deps_jax.export.traced_values import Nodes, Value, tensor_info
from deps_jax.space.layers import Layer

_CHANNELS_FIRST = (0, 3, 1, 2)
_LAYER = Primitive("network_layer")
_LAYER.def_abstract_eval(lambda x, layer: ShapedArray(
    (x.shape[0], layer.size_out, layer.size_out, layer.out_channels), x.dtype))
# Those that do nothing but call a function, which is written in their place; others that hold one,
# such as a reduction by any function, do something with it.
_CALLS = (primitives.jit_p, primitives.call_p, primitives.closed_call_p, primitives.remat_p,
          primitives.custom_jvp_call_p, primitives.custom_vjp_call_p)
_LAID = Primitive("laid")
_LAID.def_abstract_eval(lambda x, order: ShapedArray(x.shape, x.dtype))


def layer(x: jax.Array, of: Layer) -> jax.Array:
    """Marks a layer in a function that is written, [n, h, w, i] -> [n, h', w', o].

    It only has a shape: what it computes stands in the weights that `write` is given.
    """
    return _LAYER.bind(x, layer=of)


def laid(x: jax.Array, order: tuple[int, ...]) -> jax.Array:
    """Marks in which order the axes of an array lie in the file from here on.

    Args:
      x: The array, which stays as it is.
      order: Which of its axes each axis of the tensor shall be.
    """
    return _LAID.bind(x, order=order)


def sizes(*names: str) -> tuple:
    """Sizes that are known only when a model runs, as dimensions of `write`."""
    return export.symbolic_shape(", ".join(names))


def write(function: Callable[[dict], Mapping[str, jax.Array]],
          inputs: Mapping[str, tuple[str, Sequence]], weights: Mapping[str, Weights] | None = None,
          precision: str = "fp32", producer: str = "deps_jax") -> onnx.ModelProto:
    """The model of a function from arrays by name to arrays by name.

    Args:
      function: The function; it may call `layer`.
      inputs: Type and shape of each input; unknown sizes are those of `sizes`.
      weights: Weights of the layers by name, batch norm folded.
      precision: "fp32", or "int8": kernels of layers, one scale for each output channel.

    Raises:
      ValueError: If the function holds a primitive that there is no rule for.
    """
    shapes = {name: jax.ShapeDtypeStruct(tuple(shape), dtype)
              for name, (dtype, shape) in inputs.items()}
    closed, found = jax.make_jaxpr(function, return_shape=True)(shapes)
    graph = Graph(precision)
    where = {str(size): (name, axis) for name, (_, shape) in reversed(inputs.items())
             for axis, size in enumerate(shape) if not isinstance(size, int)}
    nodes = Nodes(graph, where)
    names = sorted(inputs)  # as JAX orders the leaves of a dict
    values = [Value(shapes[name].shape, inputs[name][0], name,
                    tuple(range(len(shapes[name].shape))), shapes[name].shape) for name in names]
    results = _run(nodes, closed.jaxpr, closed.consts, values, weights or {})
    for name, value in zip(sorted(found), results, strict=True):
        nodes.model_output(value, name)
    graph.keep_needed(sorted(found))
    plain = lambda shape: [size if isinstance(size, int) else str(size) for size in shape]
    model = helper.make_model(helper.make_graph(
        graph.nodes, "network",
        [tensor_info(name, dtype, plain(shape)) for name, (dtype, shape) in inputs.items()],
        [tensor_info(name, str(found[name].dtype), plain(found[name].shape))
         for name in sorted(found)], graph.tensors),
        opset_imports=[helper.make_opsetid("", onnx_writer.OPSET)],
        ir_version=onnx_writer.IR_VERSION, producer_name=producer)
    onnx.checker.check_model(model, full_check=True)
    return model


def _run(nodes: Nodes, jaxpr: Jaxpr, consts: Sequence, values: Sequence[Value],
         weights: Mapping[str, Weights]) -> list[Value]:
    """What a traced function gives for values."""
    known = dict(zip(jaxpr.constvars, (Value.known(const) for const in consts), strict=True))
    known |= dict(zip(jaxpr.invars, values, strict=True))
    read = lambda var: Value.known(np.asarray(var.val, var.aval.dtype)) \
        if isinstance(var, Literal) else known[var]
    for eqn in jaxpr.eqns:
        inputs, primitive = [read(var) for var in eqn.invars], eqn.primitive
        if primitive.name == "scan":
            inner = _inner(eqn.params)
            results = loop(nodes, eqn, inputs, lambda nodes, values, inner=inner: _run(
                nodes, inner.jaxpr, inner.consts, values, weights))
        elif primitive in _CALLS:
            inner = _inner(eqn.params)
            results = _run(nodes, inner.jaxpr, inner.consts, inputs, weights)
        elif primitive is _LAYER:
            results = [_layer(nodes, eqn, inputs[0], weights)]
        elif primitive is _LAID:
            results = [_laid(nodes, inputs[0], eqn.params["order"])]
        elif primitive.name != "dim_as_value" and all(value.static for value in inputs) and all(
                isinstance(size, int) for var in eqn.outvars for size in var.aval.shape):
            arrays = [nodes.expanded(value).array for value in inputs]
            results = primitive.bind(*map(jax.numpy.asarray, arrays), **eqn.params)
            results = results if primitive.multiple_results else [results]
            results = [Value.known(np.asarray(result)) for result in results]
        elif primitive.name in RULES:
            results = RULES[primitive.name](nodes, eqn, *inputs)
            results = results if isinstance(results, list) else [results]
        else:
            raise ValueError(f"{primitive.name} cannot be written to ONNX yet; add it to RULES of "
                             f"deps_jax/export/traced_rules.py")
        known |= dict(zip(eqn.outvars, results, strict=True))
    return [read(var) for var in jaxpr.outvars]


def _inner(params: Mapping) -> ClosedJaxpr:
    """The function that an equation calls, such as that of a jit; an open one has no consts."""
    found = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
    return found if isinstance(found, ClosedJaxpr) else ClosedJaxpr(found, [])


def _laid(nodes: Nodes, x: Value, order: tuple[int, ...]) -> Value:
    x = nodes.expanded(x)
    return Value(x.shape, x.dtype, nodes.lay(x, order), order, x.shape)


def _layer(nodes: Nodes, eqn: object, x: Value, weights: Mapping[str, Weights]) -> Value:
    of, aval = eqn.params["layer"], eqn.outvars[0].aval
    name = onnx_writer.emit(nodes.graph, of, weights.get(of.name),
                            nodes.lay(x, _CHANNELS_FIRST, full=True))
    return Value(aval.shape, str(aval.dtype), name, _CHANNELS_FIRST, aval.shape)
