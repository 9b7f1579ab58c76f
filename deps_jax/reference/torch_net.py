"""The same network in plain PyTorch, built from `layers()`: the yardstick of the benchmark.

Needs the extra `bench`.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from deps_jax.space.layers import Layer

_ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6, "h_swish": nn.Hardswish,
                "identity": nn.Identity}
MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class TorchNet(nn.Module):
    """Runs a tuple of `Layer` on images [b, 3, h, w], from PyTorch's default initial weights."""

    def __init__(self, layers: tuple[Layer, ...], epsilon: float = 1e-5) -> None:
        super().__init__()
        self.layers = layers
        self.awaited = {name for layer in layers for name in (layer.skip, layer.source)}
        self.ops = nn.ModuleList([_module(layer, epsilon) for layer in layers])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [b, classes] of images [b, 3, h, w]."""
        kept = {}
        for layer, op in zip(self.layers, self.ops, strict=True):
            x = kept[layer.source] if layer.source else x
            x = x + kept[layer.skip] if layer.op == "add" else op(x)
            if layer.name in self.awaited:
                kept[layer.name] = x
        return x


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.expand(self.reduce(x.mean((2, 3), keepdim=True)).relu())
        # Not nn.functional.hardsigmoid: its gradient is 1/6 in float32, whatever the tensor is.
        return x * (nn.functional.relu6(gate + 3) / 6)


def _module(layer: Layer, epsilon: float) -> nn.Module:
    if layer.op == "conv":
        conv = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel, layer.stride,
                         layer.kernel // 2, groups=layer.groups, bias=False)
        norm = [nn.BatchNorm2d(layer.out_channels, epsilon)] if layer.batch_norm else []
        return nn.Sequential(conv, *norm, _ACTIVATIONS[layer.activation]())
    if layer.op == "squeeze_excite":
        return _SqueezeExcite(layer.in_channels, layer.hidden)
    if layer.op == "activation":
        return _ACTIVATIONS[layer.activation]()
    if layer.op == "max_pool":
        return nn.MaxPool2d(layer.kernel, layer.stride, layer.kernel // 2)
    if layer.op == "average_pool":
        return nn.AvgPool2d(layer.stride, ceil_mode=True)
    if layer.op == "pool":
        return nn.AdaptiveAvgPool2d(1)
    if layer.op == "dense":
        return nn.Sequential(nn.Flatten(), nn.Linear(layer.in_channels, layer.out_channels))
    return nn.Identity()  # "add" is done by forward


def gradient_function(layers: tuple[Layer, ...], images: np.ndarray, labels: np.ndarray,
                      layout: str, *, device: str = "cpu", half: bool = False,
                      compiled: bool = False) -> Callable[[], None]:
    """A call that runs one forward and backward pass in training mode.

    Args:
      images: Images [b, 3, h, w] float32.
      labels: Classes of the images, [b] integers.
      layout: Memory format of PyTorch's tensors, "channels_last" or "contiguous".
      device: PyTorch's name of the device; on a GPU the call does not wait for what it started.
      half: Whether to compute in bfloat16 where PyTorch's autocast does.
      compiled: Whether the network goes through `torch.compile`.
    """
    memory = MEMORY_FORMATS[layout]
    net = TorchNet(layers).train().to(device, memory_format=memory)
    forward = torch.compile(net) if compiled else net
    images = torch.tensor(images, device=device).contiguous(memory_format=memory)
    labels = torch.tensor(labels, device=device).long()

    def run() -> None:
        net.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=half):
            logits = forward(images)
        nn.functional.cross_entropy(logits.float(), labels).backward()

    return run
