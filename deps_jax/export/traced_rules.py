"""What stands in an ONNX graph for each primitive of JAX.

A rule takes the nodes, the equation and the values it reads, and gives the value it writes. What is
not in RULES is refused by name (`traced`): a function that uses something new asks for a rule here.
"""
from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from jax.extend.core import JaxprEqn

from deps_jax.export.traced_values import Nodes, Value

Rule = Callable[..., Value | list[Value]]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def elementwise(nodes: Nodes, eqn: JaxprEqn, write: Callable[[list[str]], str], *values: Value
                ) -> Value:
    """A function of numbers at the same place; its axes lie as those of what it reads."""
    aval = eqn.outvars[0].aval
    identity = tuple(range(len(aval.shape)))
    order = next((value.order for value in values if value.array is None
                  and len(value.shape) == len(identity) and value.order != identity), identity)
    names = [nodes.lay(value, order if value.shape else ()) for value in values]
    have = tuple(next((value.have[i] for value in values if value.shape and value.have[i] != 1), 1)
                 for i in identity)
    return Value(aval.shape, str(aval.dtype), write(names), order, have)


def _same(op: str, *more: str) -> Rule:
    """One node for one primitive, then one more for each further name."""
    def rule(nodes: Nodes, eqn: JaxprEqn, *values: Value) -> Value:
        def write(names: list[str]) -> str:
            name = nodes.op(op, names)
            for each in more:
                name = nodes.op(each, [name])
            return name
        return elementwise(nodes, eqn, write, *values)
    return rule


def _integer_pow(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
    y = eqn.params["y"]

    def write(names: list[str]) -> str:
        if 2 <= y <= 3:
            square = nodes.op("Mul", names * 2)
            return square if y == 2 else nodes.op("Mul", [square, *names])
        return nodes.op("Pow", [*names, nodes.tensor(np.array(y, x.dtype))])
    return elementwise(nodes, eqn, write, x)


def _square(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
    return elementwise(nodes, eqn, lambda names: nodes.op("Mul", names * 2), x)


def _log1p(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
    one = nodes.tensor(np.array(1, x.dtype))
    return elementwise(nodes, eqn, lambda names: nodes.op("Log", [nodes.op("Add", [*names, one])]),
                       x)


def _select(nodes: Nodes, eqn: JaxprEqn, which: Value, *cases: Value) -> Value:
    assert len(cases) == 2 and which.dtype == "bool", eqn
    return elementwise(nodes, eqn, lambda names: nodes.op("Where", [names[0], names[2], names[1]]),
                       which, *cases)


def _clamp(nodes: Nodes, eqn: JaxprEqn, low: Value, x: Value, high: Value) -> Value:
    write = lambda names: nodes.op("Min", [nodes.op("Max", names[:2]), names[2]])
    return elementwise(nodes, eqn, write, low, x, high)


def _convert(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
    dtype = str(eqn.outvars[0].aval.dtype)
    if dtype == x.dtype:
        return x
    return elementwise(nodes, eqn, lambda names: nodes.cast(names[0], dtype), x)


def _reduce(op: str, *, axes_as_input: bool = False) -> Rule:
    def rule(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
        axes, aval = eqn.params["axes"], eqn.outvars[0].aval
        if any(x.have[i] != x.shape[i] for i in axes):
            x = nodes.expanded(x)
        places = [x.order.index(i) for i in axes]
        inputs, attributes = [nodes.lay(x, x.order)], {"axes": places}
        if axes_as_input:
            inputs, attributes = [*inputs, nodes.tensor(np.array(places, np.int64))], {}
        name = nodes.op(op, inputs, keepdims=0, **attributes)
        return _without(x, axes, name, aval)
    return rule


def _argument(op: str) -> Rule:
    def rule(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
        (axis,), aval = eqn.params["axes"], eqn.outvars[0].aval
        x = nodes.expanded(x)
        name = nodes.op(op, [nodes.lay(x, x.order)], axis=x.order.index(axis), keepdims=0)
        return _without(x, (axis,), nodes.cast(name, str(aval.dtype)), aval)
    return rule


def _without(x: Value, axes: tuple[int, ...], name: str, aval: object) -> Value:
    """The value that is left of x without some axes."""
    left = [i for i in range(len(x.shape)) if i not in axes]
    order = tuple(left.index(i) for i in x.order if i in left)
    return Value(aval.shape, str(aval.dtype), name, order, tuple(x.have[i] for i in left))


def _cumsum(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
    x, axis = nodes.expanded(x), eqn.params["axis"]
    place = nodes.tensor(np.array(x.order.index(axis), np.int64))
    name = nodes.op("CumSum", [nodes.lay(x, x.order), place], reverse=int(eqn.params["reverse"]))
    return dataclasses.replace(x, name=name, array=None)


def _broadcast(nodes: Nodes, eqn: JaxprEqn, x: Value, *_: Value) -> Value:
    shape, where = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    have = [1] * len(shape)
    for i, j in enumerate(where):
        have[j] = x.have[i]
    if x.array is not None:
        return Value(shape, x.dtype, "", tuple(range(len(shape))), tuple(have),
                     x.array.reshape(have))
    order = [where[i] for i in x.order]
    for j in range(len(shape)):
        if j not in where:  # behind the axis that it stands behind, where a reshape may join them
            order.insert(order.index(j - 1) + 1 if j else 0, j)
    new = [place for place, j in enumerate(order) if j not in where]
    name = x.name if not new else nodes.op(
        "Unsqueeze", [x.name, nodes.tensor(np.array(new, np.int64))])
    return Value(shape, x.dtype, name, tuple(order), tuple(have))


def _reshape(nodes: Nodes, eqn: JaxprEqn, x: Value, *_: Value) -> Value:
    return nodes.reshaped(x, eqn.outvars[0].aval.shape)


def _squeeze(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
    return squeezed(nodes, x, eqn.params["dimensions"], eqn.outvars[0].aval)


def squeezed(nodes: Nodes, x: Value, axes: tuple[int, ...], aval: object) -> Value:
    """The value without axes of size 1."""
    places = nodes.tensor(np.array([x.order.index(i) for i in axes], np.int64))
    return _without(x, axes, nodes.op("Squeeze", [nodes.lay(x, x.order), places]), aval)


def _transpose(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
    turned = eqn.params["permutation"]
    shape, have = (tuple(sizes[i] for i in turned) for sizes in (x.shape, x.have))
    if x.array is not None:
        return dataclasses.replace(x, shape=shape, have=have, array=x.array.transpose(turned))
    return Value(shape, x.dtype, x.name, tuple(turned.index(i) for i in x.order), have)


def _concatenate(nodes: Nodes, eqn: JaxprEqn, *values: Value) -> Value:
    order = next((value.order for value in values if value.array is None), values[0].order)
    names = [nodes.lay(value, order, full=True) for value in values]
    aval = eqn.outvars[0].aval
    name = nodes.op("Concat", names, axis=order.index(eqn.params["dimension"]))
    return Value(aval.shape, str(aval.dtype), name, order, aval.shape)


def _stack(nodes: Nodes, eqn: JaxprEqn, *values: Value) -> Value:
    axis, aval = eqn.params["axis"], eqn.outvars[0].aval
    place = nodes.tensor(np.array([axis], np.int64))
    names = [nodes.op("Unsqueeze", [nodes.lay(value, full=True), place]) for value in values]
    return Value(aval.shape, str(aval.dtype), nodes.op("Concat", names, axis=axis),
                 tuple(range(len(aval.shape))), aval.shape)


def _split(nodes: Nodes, eqn: JaxprEqn, x: Value) -> list[Value]:
    axis, starts = eqn.params["axis"], np.cumsum([0, *eqn.params["sizes"]]).tolist()
    x = nodes.expanded(x)
    return [_cut(nodes, x, {axis: (start, stop, 1)}, variable.aval)
            for start, stop, variable in zip(starts[:-1], starts[1:], eqn.outvars, strict=True)]


def _unstack(nodes: Nodes, eqn: JaxprEqn, x: Value) -> list[Value]:
    axis = eqn.params["axis"] % len(x.shape)
    parts = []
    for i, var in enumerate(eqn.outvars):
        one = tuple(1 if j == axis else size for j, size in enumerate(x.shape))
        cut = _cut(nodes, x, {axis: (i, i + 1, 1)}, dataclasses.replace(x, shape=one))
        parts.append(squeezed(nodes, cut, (axis,), var.aval))
    return parts


def _cut(nodes: Nodes, x: Value, parts: dict[int, tuple[int, int, int]], aval: object) -> Value:
    """start:stop:step of some axes."""
    x = nodes.expanded(x)
    places = [x.order.index(axis) for axis in parts]
    columns = [*zip(*parts.values(), strict=True)]
    starts, stops, steps = (nodes.tensor(np.array(column, np.int64)) for column in columns)
    name = nodes.op("Slice", [nodes.lay(x, x.order), starts, stops,
                              nodes.tensor(np.array(places, np.int64)), steps])
    return Value(aval.shape, str(aval.dtype), name, x.order, aval.shape)


def _slice(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
    strides = eqn.params["strides"] or (1,) * len(x.shape)
    ends = zip(eqn.params["start_indices"], eqn.params["limit_indices"], strides, strict=True)
    parts = {i: end for i, end in enumerate(ends) if end != (0, x.shape[i], 1)}
    return _cut(nodes, x, parts, eqn.outvars[0].aval) if parts else x


def _pad(nodes: Nodes, eqn: JaxprEqn, x: Value, filling: Value) -> Value:
    aval, x = eqn.outvars[0].aval, nodes.expanded(x)
    low, high, inner = zip(*(eqn.params["padding_config"][i] for i in x.order), strict=True)
    assert not any(inner) and min(low + high) >= 0, eqn
    name = nodes.op("Pad", [nodes.lay(x, x.order), nodes.tensor(np.array(low + high, np.int64)),
                            nodes.lay(filling)])
    return Value(aval.shape, str(aval.dtype), name, x.order, aval.shape)


def _gather(nodes: Nodes, eqn: JaxprEqn, x: Value, where: Value) -> Value:
    """x[..., i:j, k, ...] of places that are known beforehand, or x[:, places]."""
    numbers, aval = eqn.params["dimension_numbers"], eqn.outvars[0].aval
    assert where.static, f"places that the graph would have to find: {eqn}"
    sizes, gone, mapped = (eqn.params["slice_sizes"], numbers.collapsed_slice_dims,
                           numbers.start_index_map)
    if where.array.ndim == 1:
        parts = {axis: (int(start), int(start) + sizes[axis], 1)
                 for axis, start in zip(mapped, where.array, strict=True)}
        left = [size for i, size in enumerate(sizes) if i not in gone]
        cut = _cut(nodes, x, parts, dataclasses.replace(x, shape=tuple(sizes)))
        rest = dataclasses.replace(x, shape=tuple(left))
        return squeezed(nodes, cut, gone, rest) if gone else cut
    (axis,), x = mapped, nodes.expanded(x)
    assert where.array.ndim == 2 and gone == (axis,), eqn
    name = nodes.op("Gather", [nodes.lay(x), nodes.tensor(where.array[:, 0].astype(np.int64))],
                    axis=axis)
    (place,) = set(range(len(aval.shape))) - set(numbers.offset_dims)
    order = [i for i in range(len(aval.shape)) if i != place]
    order.insert(axis, place)
    return Value(aval.shape, str(aval.dtype), name, tuple(order), aval.shape)


def _dot_general(nodes: Nodes, eqn: JaxprEqn, left: Value, right: Value) -> Value:
    (summed, of_right), (batch, of_right_batch) = eqn.params["dimension_numbers"]
    aval = eqn.outvars[0].aval
    order = tuple(range(len(aval.shape)))
    if (summed, of_right, batch, len(right.shape)) == ((len(left.shape) - 1,), (0,), (), 2):
        name = nodes.op("MatMul", [nodes.lay(value, full=True) for value in (left, right)])
        return Value(aval.shape, str(aval.dtype), name, order, aval.shape)
    letters = iter(_LETTERS)
    of_left = {i: next(letters) for i in range(len(left.shape))}
    of = {**{j: of_left[i] for i, j in zip((*summed, *batch), (*of_right, *of_right_batch),
                                           strict=True)}}
    of |= {j: next(letters) for j in range(len(right.shape)) if j not in of}
    free = [of_left[i] for i in of_left if i not in (*summed, *batch)]
    free += [of[j] for j in range(len(right.shape)) if j not in (*of_right, *of_right_batch)]
    text = lambda value, names: "".join(names[i] for i in value.order)
    result = "".join([of_left[i] for i in batch] + free)
    name = nodes.op("Einsum", [nodes.lay(value, value.order, full=True) for value in (left, right)],
                    equation=f"{text(left, of_left)},{text(right, of)}->{result}")
    return Value(aval.shape, str(aval.dtype), name, order, aval.shape)


def _dim_as_value(nodes: Nodes, eqn: JaxprEqn) -> Value:
    number = nodes.op("Squeeze", [nodes.dim(eqn.params["dim"])])
    dtype = str(eqn.outvars[0].aval.dtype)
    return Value((), dtype, nodes.cast(number, dtype))


def _unchanged(nodes: Nodes, eqn: JaxprEqn, x: Value) -> Value:
    del nodes, eqn
    return x


RULES: dict[str, Rule] = {
    **{name: _same(*ops) for name, ops in {
        "add": ("Add",), "sub": ("Sub",), "mul": ("Mul",), "div": ("Div",), "neg": ("Neg",),
        "max": ("Max",), "min": ("Min",), "pow": ("Pow",), "exp": ("Exp",), "log": ("Log",),
        "sqrt": ("Sqrt",), "rsqrt": ("Sqrt", "Reciprocal"), "abs": ("Abs",), "sign": ("Sign",),
        "tanh": ("Tanh",), "logistic": ("Sigmoid",), "erf": ("Erf",), "floor": ("Floor",),
        "ceil": ("Ceil",), "gt": ("Greater",), "lt": ("Less",), "ge": ("GreaterOrEqual",),
        "le": ("LessOrEqual",), "eq": ("Equal",), "ne": ("Equal", "Not"), "and": ("And",),
        "or": ("Or",), "not": ("Not",), "sin": ("Sin",), "cos": ("Cos",), "atan": ("Atan",),
    }.items()},
    "integer_pow": _integer_pow, "square": _square, "log1p": _log1p, "select_n": _select,
    "clamp": _clamp, "convert_element_type": _convert,
    "reduce_sum": _reduce("ReduceSum", axes_as_input=True), "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"), "argmax": _argument("ArgMax"),
    "argmin": _argument("ArgMin"), "cumsum": _cumsum, "broadcast_in_dim": _broadcast,
    "reshape": _reshape, "squeeze": _squeeze, "transpose": _transpose,
    "concatenate": _concatenate, "stack": _stack, "split": _split, "unstack": _unstack,
    "slice": _slice, "pad": _pad,
    "gather": _gather, "dot_general": _dot_general, "dim_as_value": _dim_as_value,
    "stop_gradient": _unchanged, "copy": _unchanged, "copy_p": _unchanged,
}
