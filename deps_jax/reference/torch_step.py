"""Whole training steps in plain PyTorch, doing the work of `train.train_step`, for the benchmark.

Every subnet is a static network on leading slices of shared tensors, as in the published code, so
autograd adds up the gradients where they belong. Needs the extra `bench`.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from deps_jax.common.loop.optim import Optimizer
from deps_jax.data.augment import Augment
from deps_jax.reference.torch_net import MEMORY_FORMATS, TorchNet
from deps_jax.space.layers import Layer


class SharedNets:
    """Subnets of one network, on leading slices (of kernels: the centre) of its tensors.

    Matrices that transform kernels are left out, which favours PyTorch a little where a space has
    several kernel sizes.

    Attributes:
      weights: Learnable tensors by the layer's name and the parameter's, such as "stem/0.weight".
    """

    def __init__(self, networks: Sequence[tuple[Layer, ...]], layout: str,
                 device: str = "cpu") -> None:
        """Takes the layers of every subnet, the largest network first."""
        memory = MEMORY_FORMATS[layout]
        self._nets = [TorchNet(network).train().to(device, memory_format=memory)
                      for network in networks]
        self.weights = {_shared_name(networks[0], name): nn.Parameter(weight.detach().clone())
                        for name, weight in self._nets[0].named_parameters()}
        self._shapes = [{name: weight.shape for name, weight in net.named_parameters()}
                        for net in self._nets]

    def __call__(self, index: int, images: torch.Tensor) -> torch.Tensor:
        """Logits [b, classes] of the subnet at `index` for images [b, 3, h, w]."""
        net = self._nets[index]
        weights = {name: _part(self.weights[_shared_name(net.layers, name)], shape)
                   for name, shape in self._shapes[index].items()}
        return functional_call(net, weights, images)


def training_step(networks: Sequence[tuple[Layer, ...]], images: np.ndarray, labels: np.ndarray,
                  layout: str, *, augment: Augment, optimizer: Optimizer,
                  label_smoothing: float, device: str = "cpu",
                  half: bool = False) -> Callable[[], torch.Tensor]:
    """A call that runs one step: augmentation, losses, backward passes, SGD with momentum.

    The first network learns from the labels, the others from its logits in the same step.

    Args:
      networks: Layers of each subnet, the largest first; one alone is a full-model step.
      images: Square images [b, h, w, 3] uint8.
      labels: Classes of the images, [b] integers.
      layout: Memory format of PyTorch's tensors, "channels_last" or "contiguous".
      augment: Settings of which crop, flip and normalisation are done.
      optimizer: Settings of SGD; its rate is not scheduled.
      label_smoothing: Share of every label that is spread over all classes.
      device: PyTorch's name of the device; on a GPU the call does not wait for what it started.
      half: Whether to compute in bfloat16 where PyTorch's autocast does.

    Returns:
      The call; what it returns is the loss of the first network, [].
    """
    nets = SharedNets(networks, layout, device)
    solver = _sgd(nets.weights, optimizer)
    raw = torch.from_numpy(np.array(images)).to(device)
    classes = torch.tensor(np.array(labels)).long().to(device)

    def forward(index: int, inputs: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            return nets(index, inputs).float()

    def run() -> torch.Tensor:
        solver.zero_grad(set_to_none=True)
        inputs = augmented(raw, augment).contiguous(memory_format=MEMORY_FORMATS[layout])
        logits = forward(0, inputs)
        loss = nn.functional.cross_entropy(logits, classes, label_smoothing=label_smoothing)
        loss.backward()
        teacher = logits.detach().softmax(-1)
        for i in range(1, len(networks)):
            soft = -(teacher * forward(i, inputs).log_softmax(-1)).sum(-1).mean()
            soft.backward()
        solver.step()
        return loss.detach()

    return run


def augmented(images: torch.Tensor, settings: Augment) -> torch.Tensor:
    """Random crop of the mirrored border, flip and normalisation, as in `data.augment`.

    Args:
      images: Square images [b, h, w, 3] uint8.

    Returns:
      Inputs of a network, [b, 3, h, w] float32, channels last in memory.
    """
    (count, side), device = images.shape[:2], images.device
    rows, columns = (_places(count, side, settings.crop_padding, device) for _ in range(2))
    if settings.flip:
        mirrored = torch.rand(count, 1, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    places = torch.arange(count, device=device)[:, None, None]
    chosen = images[places, rows[:, :, None], columns[:, None, :]]
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1)
                 for values in (settings.mean, settings.std))
    return chosen.permute(0, 3, 1, 2).float() * (1 / (255 * std)) - mean / std


def _places(count: int, side: int, padding: int, device: torch.device) -> torch.Tensor:
    """Positions [count, side] of a random window, mirrored at the border."""
    start = torch.randint(-padding, padding + 1, (count, 1), device=device)
    places = (start + torch.arange(side, device=device)).abs()
    return side - 1 - (side - 1 - places).abs()


def _sgd(weights: dict[str, nn.Parameter], settings: Optimizer) -> torch.optim.SGD:
    """SGD with Nesterov's momentum; decay spares batch norms and biases."""
    decayed = [weight for weight in weights.values() if weight.ndim > 1]
    plain = [weight for weight in weights.values() if weight.ndim == 1]
    return torch.optim.SGD(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain}],
        lr=settings.learning_rate, momentum=settings.momentum, nesterov=True)


def _shared_name(network: tuple[Layer, ...], name: str) -> str:
    """`ops.3.0.weight` of a net as the name of its layer and the rest."""
    _, position, rest = name.split(".", 2)
    return f"{network[int(position)].name}/{rest}"


def _part(weight: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Leading channels, and the centre of the kernel, of a shared tensor."""
    borders = [(whole - part) // 2 if axis > 1 else 0
               for axis, (whole, part) in enumerate(zip(weight.shape, shape, strict=True))]
    return weight[tuple(slice(start, start + size)
                        for start, size in zip(borders, shape, strict=True))]
