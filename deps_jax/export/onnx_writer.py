"""ONNX models straight from `layers()`: NCHW, opset 17, dynamic batch.

One node for each convolution, activation, gate and sum: batch norm is folded already, and nothing
is traced, so there is no Transpose to remove. Needs the extra `export`.
"""
from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from deps_jax.space.layers import Layer
from deps_jax.supernet.network import weight_shapes

OPSET, IR_VERSION = 17, 10
INPUT, OUTPUT = "image", "logits"
Weights = Mapping[str, np.ndarray]  # of one layer
PRECISIONS = ("fp32", "fp16", "int8")  # int8: weights only, one scale an output channel
ENVELOPE_BYTES = {"fp32": 116, "fp16": 200, "int8": 116}  # of a file without layers


def write(network_layers: tuple[Layer, ...], weights: Mapping[str, Weights],
          precision: str = "fp32", *, batch_size: int | None = None) -> onnx.ModelProto:
    """The model of a whole network, or of consecutive layers of one.

    Args:
      network_layers: Layers in order of execution.
      weights: Weights by layer name, as in `network.Network`.
      precision: "fp32"; "fp16", computing in half precision between float32 ends; or "int8",
        whose kernels are int8 with one scale for each output channel, expanded to float32 when
        the model is loaded.
      batch_size: The only batch size that the model takes; None allows any.

    Raises:
      ValueError: If the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is unknown; use one of {PRECISIONS}")
    graph = Graph(precision)
    value = INPUT if precision != "fp16" else graph.add("Cast", [INPUT], to=TensorProto.FLOAT16)
    graph.finish(_emit(graph, network_layers, weights, value))
    first, last, batch = network_layers[0], network_layers[-1], batch_size or "batch"
    shape_in = [batch, first.in_channels, first.size_in, first.size_in]
    flat = last.op == "dense"
    shape_out = [batch, last.out_channels] + [last.size_out] * (0 if flat else 2)
    value_info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    model = helper.make_model(
        helper.make_graph(graph.nodes, "network", [value_info(INPUT, shape_in)],
                          [value_info(OUTPUT, shape_out)], graph.tensors),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="deps_jax")
    onnx.checker.check_model(model, full_check=True)
    return model


def bytes_in_file(network_layers: tuple[Layer, ...], precision: str) -> int:
    """Bytes that consecutive layers add to the file of a model: weights, names and nodes.

    They are exact up to the lengths of names, a few bytes a block; the whole file has
    ENVELOPE_BYTES[precision] more.
    """
    graph, zeros = Graph(precision), np.zeros((), np.float32)
    weights = {layer.name: {name: np.broadcast_to(zeros, shape)
                            for name, shape in weight_shapes(layer).items()}
               for layer in network_layers}
    _emit(graph, network_layers, weights, "stage0/block0/add")
    # In protobuf an element takes its tag and the length of its size beside its own bytes.
    sizes = [element.ByteSize() for element in (*graph.nodes, *graph.tensors)]
    return sum(size + 1 + -(-size.bit_length() // 7) for size in sizes)


# By precision: the bytes that layers add to a file, and those of a file without layers.
FILE_SIZES = {precision: (partial(bytes_in_file, precision=precision), ENVELOPE_BYTES[precision])
              for precision in PRECISIONS}


def _emit(graph: Graph, network_layers: tuple[Layer, ...], weights: Mapping[str, Weights],
          value: str) -> str:
    """Adds the layers to the graph; `value` names what comes in, the result what comes out."""
    outside, kept = value, {}  # a part of a network reads what came into it by another name
    for layer in network_layers:
        graph.layer = layer.name
        value = kept.get(layer.source, outside) if layer.source else value
        if layer.op == "add":
            value = graph.add("Add", [value, kept.get(layer.skip, outside)], layer.name)
        else:
            value = emit(graph, layer, weights.get(layer.name), value)
        kept[layer.name] = value
    return value


def emit(graph: Graph, layer: Layer, weights: Weights | None, value: str) -> str:
    """Adds one layer that reads the tensor `value`, and returns the name of what it gives."""
    graph.layer = layer.name
    return _EMIT[layer.op](graph, layer, weights, value)


class Graph:
    """Nodes and constants in the order they are added."""

    def __init__(self, precision: str) -> None:
        self.precision, self.nodes, self.tensors = precision, [], []
        self.layer = "ends"  # the layer being written; nodes without a name are called after it

    def add(self, op: str, inputs: list[str], name: str = "",
            **attributes: float | list[int]) -> str:
        """Adds a node and returns its name, which is its output's, too."""
        name = name or f"{self.layer}/{op}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, name: str, array: np.ndarray | float) -> str:
        """Adds a tensor in the precision of the computation and returns its name."""
        dtype = np.float16 if self.precision == "fp16" else np.float32
        self.tensors.append(numpy_helper.from_array(np.asarray(array, dtype), name))
        return name

    def tensor(self, name: str, array: np.ndarray) -> str:
        """Adds a tensor of its own type and returns its name."""
        self.tensors.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def kernel(self, name: str, array: np.ndarray) -> str:
        """Adds a kernel [o, ...] in the precision of the weights and returns its name."""
        if self.precision != "int8":
            return self.constant(name, array)
        quantised, scale = quantise(array)
        self.tensors.append(numpy_helper.from_array(quantised, f"{name}/q"))
        self.constant(f"{name}/scale", scale)
        return self.add("DequantizeLinear", [f"{name}/q", f"{name}/scale"], name, axis=0)

    def inside(self) -> Graph:
        """A graph within this one, of nodes of its own; tensors are those of the whole."""
        inner = copy.copy(self)
        inner.nodes = []
        return inner

    def keep_needed(self, outputs: Sequence[str]) -> None:
        """Drops nodes and tensors that no output needs."""
        needed, kept = set(outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.output):
                needed |= set(_read(node))
                kept.append(node)
        self.nodes = kept[::-1]
        self.tensors = [tensor for tensor in self.tensors if tensor.name in needed]

    def finish(self, value: str) -> None:
        """Calls the last value by the name of the model's output."""
        if self.precision == "fp16":
            self.add("Cast", [value], OUTPUT, to=TensorProto.FLOAT)
        else:
            self.nodes[-1].output[0] = OUTPUT


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Names of all that a node reads, with what the graphs within it do."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _read(inner)


def quantise(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A kernel [o, ...] as symmetric int8 [o, ...] and its float32 scales [o] by output channel."""
    limit = np.abs(kernel).max(axis=tuple(range(1, kernel.ndim)))
    scale = np.where(limit > 0, limit / 127, 1).astype(np.float32)
    quantised = np.round(kernel / scale.reshape(-1, *[1] * (kernel.ndim - 1)))
    return quantised.astype(np.int8), scale


def _conv(graph: Graph, layer: Layer, weights: Weights, x: str) -> str:
    inputs = [x, graph.kernel(f"{layer.name}/kernel", weights["kernel"].transpose(3, 2, 0, 1)),
              graph.constant(f"{layer.name}/bias", weights["bias"])]
    x = graph.add("Conv", inputs, layer.name, kernel_shape=[layer.kernel] * 2,
                  strides=[layer.stride] * 2, pads=[layer.kernel // 2] * 4, group=layer.groups)
    return _activation(graph, layer, None, x)


def _activation(graph: Graph, layer: Layer, _: Weights | None, x: str) -> str:
    if layer.activation == "relu6":
        limits = [graph.constant(f"{layer.name}/{name}", value)
                  for name, value in (("low", 0.0), ("high", 6.0))]
        return graph.add("Clip", [x, *limits])
    if layer.activation == "identity":
        return x
    return graph.add({"relu": "Relu", "h_swish": "HardSwish"}[layer.activation], [x])


def _squeeze_excite(graph: Graph, layer: Layer, weights: Weights, x: str) -> str:
    gate = graph.add("GlobalAveragePool", [x])
    for part, activation in (("reduce", "Relu"), ("expand", "")):
        name = f"{layer.name}/{part}"
        kernel = weights[f"{part}_kernel"].T[:, :, None, None]
        gate = graph.add("Conv", [gate, graph.kernel(f"{name}/kernel", kernel),
                                  graph.constant(f"{name}/bias", weights[f"{part}_bias"])], name)
        if activation:
            gate = graph.add(activation, [gate])
    gate = graph.add("HardSigmoid", [gate], alpha=1 / 6, beta=0.5)
    return graph.add("Mul", [x, gate], layer.name)


def _max_pool(graph: Graph, layer: Layer, _: Weights | None, x: str) -> str:
    return graph.add("MaxPool", [x], layer.name, kernel_shape=[layer.kernel] * 2,
                     strides=[layer.stride] * 2, pads=[layer.kernel // 2] * 4)


def _average_pool(graph: Graph, layer: Layer, _: Weights | None, x: str) -> str:
    return graph.add("AveragePool", [x], layer.name, kernel_shape=[layer.kernel] * 2,
                     strides=[layer.stride] * 2, ceil_mode=1)


def _double(graph: Graph, layer: Layer, _: Weights | None, x: str) -> str:
    scales = graph.constant(f"{layer.name}/scales", np.array([1, 1, 2, 2]))
    return graph.add("Resize", [x, "", scales], layer.name, mode="nearest",
                     coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def _unfold(graph: Graph, layer: Layer, _: Weights | None, x: str) -> str:
    return graph.add("DepthToSpace", [x], layer.name, blocksize=layer.size_out // layer.size_in)


def _pool(graph: Graph, layer: Layer, _: Weights | None, x: str) -> str:
    return graph.add("GlobalAveragePool", [x], layer.name)


def _dense(graph: Graph, layer: Layer, weights: Weights, x: str) -> str:
    flat = graph.add("Flatten", [x])
    return graph.add("Gemm", [flat, graph.kernel(f"{layer.name}/kernel", weights["kernel"].T),
                              graph.constant(f"{layer.name}/bias", weights["bias"])],
                     layer.name, transB=1)


_EMIT = {"conv": _conv, "squeeze_excite": _squeeze_excite, "activation": _activation,
         "max_pool": _max_pool, "average_pool": _average_pool, "double": _double,
         "unfold": _unfold, "pool": _pool, "dense": _dense}
