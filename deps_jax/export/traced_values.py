"""Arrays of a traced function as tensors of an ONNX graph, axes reordered and repeated at need.

Convolutions of ONNX want channels first, and the functions here have them last. A value remembers
in which order its axes lie, and along which it has yet to be repeated, so that between two
convolutions nothing is transposed and nothing is written out twice.
"""
from __future__ import annotations

import ast
import copy
import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import TensorProto, helper

from deps_jax.export.onnx_writer import Graph

Shape = tuple  # of whole numbers, and of dimensions such as b or b*t that are known when it runs
_TYPES = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32, "int64": TensorProto.INT64,
          "bool": TensorProto.BOOL, "uint8": TensorProto.UINT8}


@dataclasses.dataclass(frozen=True)
class Value:
    """An array of the traced function.

    Attributes:
      shape: Its shape there.
      dtype: Name of its type there.
      name: Name of its tensor; "" where `array` is it.
      order: Which of its axes each axis of the tensor is.
      have: Its shape but for axes along which the tensor has yet to be repeated, where it is 1.
      array: What it is, of shape `have`, where that is known beforehand.
    """

    shape: Shape
    dtype: str
    name: str = ""
    order: tuple[int, ...] = ()
    have: Shape = ()
    array: np.ndarray | None = None

    @classmethod
    def known(cls, array: np.ndarray) -> Value:
        """A value that is known beforehand."""
        array = np.asarray(array)
        return cls(array.shape, str(array.dtype), "", tuple(range(array.ndim)), array.shape, array)

    @property
    def static(self) -> bool:
        """Whether the whole of it is known beforehand."""
        return self.array is not None and all(isinstance(size, int) for size in self.shape)


class Nodes:
    """Adds nodes to a graph.

    Args:
      graph: The graph.
      sizes: Where each unknown size, such as "b", is read: name of an input and its axis.
    """

    def __init__(self, graph: Graph, sizes: Mapping[str, tuple[str, int]]) -> None:
        self.graph, self._sizes, self._dims = graph, sizes, {}
        self._count = itertools.count()

    def name(self, of: str) -> str:
        """A name that nothing else has."""
        return f"{of}_{next(self._count)}"

    def inside(self) -> Nodes:
        """Nodes of a graph within this one, which sees what stands before it."""
        inner = copy.copy(self)
        inner.graph, inner._dims = self.graph.inside(), dict(self._dims)
        return inner

    def op(self, op: str, inputs: Sequence[str], **attributes: object) -> str:
        """Adds a node and returns the name of its output."""
        return self.graph.add(op, list(inputs), self.name(op), **attributes)

    def tensor(self, array: np.ndarray) -> str:
        """Adds a constant and returns its name."""
        return self.graph.tensor(self.name("constant"), np.asarray(array))

    def cast(self, name: str, dtype: str) -> str:
        """Another type, by its name in NumPy."""
        if dtype not in _TYPES:
            raise ValueError(f"arrays of {dtype} are not written; use one of {tuple(_TYPES)}")
        return self.op("Cast", [name], to=_TYPES[dtype])

    def dim(self, size: object) -> str:
        """A size as a tensor of one int64."""
        key = str(size)
        if key not in self._dims:
            self._dims[key] = self._computed(ast.parse(key, mode="eval").body)
        return self._dims[key]

    def _computed(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return self.tensor(np.array([part.value], np.int64))
        if isinstance(part, ast.Name):
            name, axis = self._sizes[part.id]
            return self.op("Shape", [name], start=axis, end=axis + 1)
        assert isinstance(part, ast.BinOp), ast.dump(part)
        names = {ast.Mult: "Mul", ast.Add: "Add", ast.Sub: "Sub"}
        return self.op(names[type(part.op)], [self.dim(ast.unparse(side))
                                              for side in (part.left, part.right)])

    def dims(self, sizes: Sequence[object]) -> str:
        """Sizes as one tensor of int64."""
        if all(isinstance(size, int) for size in sizes):
            return self.tensor(np.array(sizes, np.int64))
        return self.op("Concat", [self.dim(size) for size in sizes], axis=0)

    def lay(self, value: Value, order: tuple[int, ...] | None = None, *, full: bool = False) -> str:
        """Name of the tensor with the axes in an order, by default that of the function.

        Args:
          value: The value.
          order: Which axis of the value each axis of the tensor shall be.
          full: Whether it has to be repeated where it has yet to be.
        """
        order = tuple(range(len(value.shape))) if order is None else order
        if full:
            value = self.expanded(value)
        if value.array is not None:
            return self.tensor(value.array.transpose(order))
        if value.order == order:
            return value.name
        return self.op("Transpose", [value.name], perm=[value.order.index(i) for i in order])

    def expanded(self, value: Value) -> Value:
        """The value, repeated along every axis where it has yet to be."""
        if value.have == value.shape:
            return value
        if value.static:
            return Value.known(np.broadcast_to(value.array, value.shape))
        name = self.op("Expand", [self.lay(value, value.order),
                                  self.dims([value.shape[i] for i in value.order])])
        return dataclasses.replace(value, name=name, have=value.shape, array=None)

    def reshaped(self, value: Value, shape: Shape) -> Value:
        """As `jnp.reshape`; axes stay in their order where what is joined lies side by side."""
        if value.array is not None and all(isinstance(size, int) for size in shape):
            return Value.known(self.expanded(value).array.reshape(shape))
        value = self.expanded(value)
        groups = _groups(value.shape, shape)
        place = [[value.order.index(i) for i in before] for before, _ in groups]
        kept = all(p == list(range(p[0], p[0] + len(p))) for p in place)
        order = tuple(range(len(value.shape))) if not kept else value.order
        after = tuple(range(len(shape)))
        if kept:
            after = tuple(j for i in value.order for before, new in groups if before[0] == i
                          for j in new)
        sizes, now = [shape[j] for j in after], [value.shape[i] for i in order]
        name = self.op("Reshape", [self.lay(value, order), self._target(now, sizes)])
        return Value(shape, value.dtype, name, after, shape)

    def _target(self, now: list, sizes: list) -> str:
        entries = [size if isinstance(size, int) else 0 if i < len(now) and now[i] == size else -1
                   for i, size in enumerate(sizes)]
        if entries.count(-1) > 1:
            return self.dims(sizes)
        return self.tensor(np.array(entries, np.int64))

    def model_output(self, value: Value, name: str) -> None:
        """Calls a value by the name of an output of the graph."""
        self.graph.add("Identity", [self.lay(value, full=True)], name)


def tensor_info(name: str, dtype: str, shape: Sequence[int | str]) -> object:
    """An input or output of a graph; sizes that are not known are called by a name."""
    return helper.make_tensor_value_info(name, _TYPES[dtype], list(shape))


def _groups(before: Shape, after: Shape) -> list[tuple[list[int], list[int]]]:
    """Which axes of a reshape make which; every group has one before at least."""
    groups, i, j = [], 0, 0
    while i < len(before) or j < len(after):
        ends = sorted(itertools.product(range(i, len(before) + 1), range(j, len(after) + 1)),
                      key=sum)
        p, q = next((p, q) for p, q in ends if (p, q) != (i, j)
                    and math.prod(before[i:p]) == math.prod(after[j:q]))
        groups.append((list(range(i, p)), list(range(j, q))))
        i, j = p, q
    joined = []
    for old, new in groups:  # what comes of nothing, an axis of size 1, stays with its neighbour
        if joined and (not old or not joined[-1][0]):
            joined[-1] = (joined[-1][0] + old, joined[-1][1] + new)
        else:
            joined.append((old, new))
    return joined
