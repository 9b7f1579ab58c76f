"""Writes golden/nurture_resnet.npz: features of small ResNets in plain PyTorch, in float64.

    python tests/nurture_jax/make_resnet_record.py

Needs torch; the test that reads the record does not. Where torchvision is installed, too, its own
networks are run on the same weights and must give the same.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np

RECORD = Path(__file__).parent.parent / "golden" / "nurture_resnet.npz"
WIDTH, PIXELS = 4, 32
BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


def torchvision_tensors(depth: int, width: int = WIDTH) -> dict[str, np.ndarray]:
    """Random tensors under the names and shapes that torchvision gives a ResNet of this width."""
    rng = np.random.RandomState(depth)  # its stream never changes, that of default_rng may
    state = {}

    def convolution(name, norm, inputs, outputs, kernel):
        state[f"{name}.weight"] = rng.normal(size=(outputs, inputs, kernel, kernel)) \
            * np.sqrt(2 / (inputs * kernel * kernel))
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{tensor}"] = rng.uniform(0.5, 1, outputs)
        state[f"{norm}.num_batches_tracked"] = np.array(1)

    convolution("conv1", "bn1", 3, width, 7)
    inputs = width
    for s, blocks in enumerate(BLOCKS[depth]):
        middle = width * 2**s
        outputs = middle if depth < 50 else 4 * middle
        for i in range(blocks):
            block = f"layer{s + 1}.{i}"
            parts = [(inputs, middle, 3), (middle, outputs, 3)] if depth < 50 else [
                (inputs, middle, 1), (middle, middle, 3), (middle, outputs, 1)]
            for j, part in enumerate(parts, start=1):
                convolution(f"{block}.conv{j}", f"{block}.bn{j}", *part)
            if not i and (s or depth >= 50):
                convolution(f"{block}.downsample.0", f"{block}.downsample.1", inputs, outputs, 1)
            inputs = outputs
    return state | {"fc.weight": np.zeros((10, inputs)), "fc.bias": np.zeros(10)}


def images() -> np.ndarray:
    """[1, 3, h, w] float64."""
    return np.random.RandomState(7).normal(size=(1, 3, PIXELS, PIXELS))


def features(state: dict[str, np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    """Outputs of the four stages, [b, c, h, w] float64, as PyTorch computes them."""
    import torch
    from torch.nn import functional

    tensors = {name: torch.tensor(value) for name, value in state.items()}

    def convolve(x, name, norm, stride=1):
        weight = tensors[f"{name}.weight"]
        y = functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        of_norm = [tensors[f"{norm}.{tensor}"] for tensor in (
            "running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(y, *of_norm)

    x = convolve(torch.tensor(x), "conv1", "bn1", 2).relu()
    x = functional.max_pool2d(x, 3, 2, 1)
    found = []
    for s in range(4):
        blocks = {name.split(".")[1] for name in state if name.startswith(f"layer{s + 1}.")}
        for i in range(len(blocks)):
            block = f"layer{s + 1}.{i}"
            parts = sum(f"{block}.conv{j}.weight" in state for j in (1, 2, 3))
            stride, y = 2 if s and not i else 1, x
            for j in range(1, parts + 1):
                # The first 3x3 has the stride: the second of a bottleneck, the first of two.
                y = convolve(y, f"{block}.conv{j}", f"{block}.bn{j}",
                             stride if j == parts - 1 else 1)
                y = y.relu() if j < parts else y
            if f"{block}.downsample.0.weight" in state:
                x = convolve(x, f"{block}.downsample.0", f"{block}.downsample.1", stride)
            x = (x + y).relu()
        found.append(x.numpy())
    return found


def of_torchvision(depth: int, state: dict[str, np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    """The same by torchvision's own ResNet, made narrow."""
    import torch
    from torch import nn
    from torchvision.models import resnet

    block = resnet.BasicBlock if depth < 50 else resnet.Bottleneck
    # Only narrower: `inplanes` is set before the stages are made, so they are made again.
    net = resnet.ResNet(block, BLOCKS[depth], num_classes=10)
    net.inplanes = WIDTH
    net.conv1, net.bn1 = nn.Conv2d(3, WIDTH, 7, 2, 3, bias=False), nn.BatchNorm2d(WIDTH)
    for s, blocks in enumerate(BLOCKS[depth]):
        layer = net._make_layer(block, WIDTH * 2**s, blocks, stride=2 if s else 1)
        setattr(net, f"layer{s + 1}", layer)
    net.fc = nn.Linear(net.inplanes, 10)
    net = net.double().eval()
    net.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    found = []
    for s in range(4):
        getattr(net, f"layer{s + 1}").register_forward_hook(
            lambda _, __, output: found.append(output.detach().numpy()))
    net(torch.tensor(x))
    return found


def main() -> None:
    record = {}
    for depth in BLOCKS:
        state, x = torchvision_tensors(depth), images()
        found = features(state, x)
        try:
            expected = of_torchvision(depth, state, x)
        except ModuleNotFoundError:
            print("torchvision is not installed: the record is of our own PyTorch code alone")
        else:
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
            print(f"ResNet-{depth}: as torchvision's")
        record |= {f"resnet{depth}_layer{s + 1}": value.astype(np.float32)
                   for s, value in enumerate(found)}
    RECORD.parent.mkdir(exist_ok=True)
    np.savez_compressed(RECORD, **record)
    print(f"{RECORD}: {RECORD.stat().st_size / 1e3:.1f} kB")


if __name__ == "__main__":
    main()
