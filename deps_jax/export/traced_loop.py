"""Loops of a fixed number of rounds, `lax.scan` without anything read or kept by the round."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jax.extend.core import JaxprEqn
from onnx import TensorProto, helper

from deps_jax.export.traced_values import Nodes, Value, tensor_info

# What the traced function inside gives for values, as nodes of the graph it is given.
Run = Callable[[Nodes, Sequence[Value]], list[Value]]


def loop(nodes: Nodes, eqn: JaxprEqn, inputs: Sequence[Value], run: Run) -> list[Value]:
    """The carried values after the last round, of one node Loop.

    Args:
      eqn: Equation of a scan.
      inputs: What every round reads, then what is carried from round to round.
      run: Writes a round.

    Raises:
      ValueError: If a round reads or gives something of its own.
    """
    read, carried = eqn.params["num_consts"], eqn.params["num_carry"]
    if len(inputs) != read + carried or len(eqn.outvars) != carried:
        raise ValueError("a scan that reads or stacks something in every round cannot be written "
                         "to ONNX yet; carry it, see deps_jax/export/traced_loop.py")
    start = inputs[read:]
    plain = lambda value: [size if isinstance(size, int) else str(size) for size in value.shape]
    describe = lambda name, value: tensor_info(name, value.dtype, plain(value))
    body = nodes.inside()
    names = [body.name("carried") for _ in start]
    axes = lambda value: tuple(range(len(value.shape)))
    values = [Value(value.shape, value.dtype, name, axes(value), value.shape)
              for name, value in zip(names, start, strict=True)]
    number, going = body.name("round"), body.name("going")
    found = run(body, [*inputs[:read], *values])
    goes_on = body.op("Identity", [going])
    ends = [body.op("Identity", [body.lay(value, full=True)]) for value in found]
    flag = lambda name: helper.make_tensor_value_info(name, TensorProto.BOOL, [])
    graph = helper.make_graph(
        body.graph.nodes, body.name("body"),
        [helper.make_tensor_value_info(number, TensorProto.INT64, []), flag(going),
         *map(describe, names, start)], [flag(goes_on), *map(describe, ends, start)])
    after = [nodes.name("after") for _ in start]
    rounds = nodes.tensor(np.array(eqn.params["length"], np.int64))
    before = [nodes.lay(value, full=True) for value in start]
    nodes.graph.nodes.append(helper.make_node(
        "Loop", [rounds, nodes.tensor(np.array(True)), *before], after, body=graph))
    return [Value(value.shape, value.dtype, name, axes(value), value.shape)
            for name, value in zip(after, start, strict=True)]
