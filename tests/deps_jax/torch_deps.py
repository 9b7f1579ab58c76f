"""DepS in a few lines of PyTorch: an independent oracle in float64. Needs torch.

Each subnet is a plain network built from `layers()`, run on leading slices of shared tensors, so
PyTorch's autograd puts the gradients where they belong. Tensors have the names of the reference.
"""
import math
import re
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from deps_jax.reference.torch_net import TorchNet
from deps_jax.space.layers import layers
from deps_jax.space.subnet import from_lists, largest
from deps_jax.supernet.convert import short_name

_PARTS = {"expand": "inverted_bottleneck", "depthwise": "depth_conv", "project": "point_linear"}
_OUTSIDE = {"stem": "first_conv", "head/expand": "final_expand_layer",
            "head/features": "feature_mix_layer", "classifier": "classifier"}


def shared_tensors(state_dict):
    """The parameters of a supernet as float64 tensors with a gradient, by their short names."""
    torch.set_num_threads(1)  # two busy cores: more would wait for each other
    return {short_name(name): torch.tensor(value, dtype=torch.float64, requires_grad=True)
            for name, value in state_dict.items()
            if "running" not in name and not name.endswith("tracked")}


def shared_shapes(space):
    """{name: shape} of the parameters of a supernet, kernel transforms aside."""
    network = layers(space, largest(space))
    return {_shared_name(space, layer, name): tuple(parameter.shape)
            for layer, op in zip(network, TorchNet(network).ops, strict=True)
            for name, parameter in op.named_parameters()}


def forward(space, arch, shared, images):
    """Logits of a subnet in training mode, and {name: mean or biased variance} of the batch."""
    return _run(space, arch, shared, images, None)


def evaluate(space, arch, shared, images, statistics):
    """Logits of a subnet that normalises with given statistics."""
    return _run(space, arch, shared, images, statistics)[0]


def _run(space, arch, shared, images, statistics):
    subnet = from_lists(space, depths=arch["d"], kernels=arch["ks"], expands=arch["e"])
    network = layers(space, subnet)
    net = TorchNet(network, space.norm_epsilon).double().train(statistics is None)
    tensors, seen = {}, {}
    for i, layer in enumerate(network):
        for name, parameter in net.ops[i].named_parameters():
            source = shared[_shared_name(space, layer, name)]
            if layer.groups > 1 and source.ndim == 4:
                source = _kernel(shared, _shared_name(space, layer, name), parameter.shape[-1])
            source = source[tuple(slice(size) for size in parameter.shape)]
            tensors[f"ops.{i}.{name}"] = source.reshape(parameter.shape)
        if layer.op == "conv" and layer.batch_norm:
            prefix = _shared_name(space, layer, "1.running_")
            net.ops[i][1].register_forward_pre_hook(
                lambda _, inputs, prefix=prefix: seen.update(_moments(prefix, inputs[0])))
            if statistics is not None:
                for moment in ("mean", "var"):
                    tensors[f"ops.{i}.1.running_{moment}"] = statistics[prefix + moment]
    return functional_call(net, tensors, images), seen


def _moments(prefix, x):
    x = x.detach()
    return {prefix + "mean": x.mean((0, 2, 3)), prefix + "var": x.var((0, 2, 3), unbiased=False)}


def _kernel(shared, name, size):
    """The depthwise kernel of a size: centre of the next larger one, through its matrix if any."""
    kernel, prefix = shared[name], name.removesuffix("conv.weight")
    steps = sorted((match.groups() for match in (
        re.fullmatch(re.escape(prefix) + r"(\d+)to(\d+)_matrix", other) for other in shared)
        if match), key=lambda step: -int(step[0]))
    for larger, smaller in steps:
        if int(smaller) < size:
            break
        margin = (int(larger) - int(smaller)) // 2
        centre = kernel[..., margin:-margin, margin:-margin]
        flat = centre.reshape(-1, int(smaller)**2) @ shared[f"{prefix}{larger}to{smaller}_matrix"].T
        kernel = flat.reshape(centre.shape)
    margin = (kernel.shape[-1] - size) // 2  # without matrices the centre itself
    return kernel[..., margin:kernel.shape[-1] - margin, margin:kernel.shape[-1] - margin]


def rates(record):
    """(learning rate, beta) of every step: cosine, and the ramp towards a base rate after it.

    DepS deps.py, adjust_beta_value; its tables are the cosine one epoch after the ramp's end.
    """
    total = record["epochs"] * record["batches_per_epoch"]
    lr = [max(record["min_lr"], record["base_lr"] / 2 * (1 + math.cos(math.pi * t / total)))
          for t in range(total + 1)]
    end = record["full_model_warmup_epochs"] * record["batches_per_epoch"]
    start = end - record["subnet_warmup_epochs"] * record["batches_per_epoch"]
    target = lr[end + round(record["ramp_target_epochs"] * record["batches_per_epoch"])]
    beta = [0.0 if t < start else target * (t - start + 1) / (end - start) / lr[t] if t < end
            else 1.0 for t in range(total)]
    return list(zip(lr, beta, strict=False))


def trajectory(space, record, initial, images, labels):
    """Losses by step and subnet of a recorded run repeated in float64, and the last parameters."""
    shared = shared_tensors(initial)
    plain = [value for name, value in shared.items() if "bn" in name or "bias" in name]
    decayed = [value for name, value in shared.items() if not ("bn" in name or "bias" in name)]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": record["weight_decay"]}, {"params": plain}],
        lr=1.0, momentum=record["momentum"], nesterov=record["nesterov"])
    for tensor in shared.values():
        # One without a gradient yet (a kernel transform in warm-up) is not skipped, but decays.
        tensor.grad = torch.zeros_like(tensor)
    images = torch.tensor(images, dtype=torch.float64)
    labels, losses = torch.tensor(labels).long(), []
    temperature, weights = record["temperature"], record.get("weights", [1.0] * 4)
    for i, step in enumerate(record["steps"]):
        if record.get("sorted") and len(step["archs"]) > 1 == len(record["steps"][i - 1]["archs"]):
            _sort(space, shared, optimizer)
        for group in optimizer.param_groups:
            group["lr"] = step["lr"]
        optimizer.zero_grad(set_to_none=False)
        batch, teacher, row = i % len(images), None, []
        for k, arch in enumerate(step["archs"]):
            logits, _ = forward(space, arch, shared, images[batch])
            if k == 0:
                loss = nn.functional.cross_entropy(logits, labels[batch],
                                                   label_smoothing=record["label_smoothing"])
                teacher = (logits.detach() / temperature).softmax(-1)
            else:
                soft = (teacher * (logits / temperature).log_softmax(-1)).sum(-1).mean()
                loss = -temperature**2 * soft
            (loss * (1.0 if k == 0 else weights[k] * step["beta"])).backward()
            row.append(loss.item())
        losses.append(row)
        optimizer.step()
    return losses, {name: tensor.detach().numpy() for name, tensor in shared.items()}


@torch.no_grad()
def _sort(space, shared, optimizer):
    """Middle channels by the L1 norm of their column in the projection, momentum with them.

    DepS re_organize_middle_weights: the channels of the second largest width stay its own.
    """
    index = 1
    for blocks in space.blocks:
        for block in blocks:
            prefix = f"blocks.{index}.conv."
            widths = (0, *(sizes["middle"] for sizes in block.branches))
            index += 1
            cuts = (0, *widths[2:-1], widths[-1]) if len(block.expands) > 2 else (0, widths[-1])
            importance = shared[prefix + "point_linear.conv.weight"].abs().sum((0, 2, 3)).numpy()
            middle = np.concatenate([low + np.argsort(-importance[low:high], kind="stable")
                                     for low, high in pairwise(cuts)])
            orders = {f"{part}.{tensor}": ((0, middle),)
                      for part in ("inverted_bottleneck", "depth_conv")
                      for tensor in ("conv.weight", "bn.weight", "bn.bias")}
            orders["point_linear.conv.weight"] = ((1, middle),)
            if block.gates:
                gate = "depth_conv.se.fc."
                hidden = np.argsort(-shared[f"{prefix}{gate}expand.weight"].abs().sum(
                    (0, 2, 3)).numpy(), kind="stable")
                orders |= {gate + "reduce.weight": ((0, hidden), (1, middle)),
                           gate + "reduce.bias": ((0, hidden),),
                           gate + "expand.weight": ((0, middle), (1, hidden)),
                           gate + "expand.bias": ((0, middle),)}
            for name, axes in orders.items():
                tensor = shared[prefix + name]
                for each in (tensor, optimizer.state[tensor]["momentum_buffer"]):
                    for axis, order in axes:
                        each.copy_(each.index_select(axis, torch.tensor(order)))


def _shared_name(space, layer, name):
    """Name in the state dict of the reference: blocks are numbered over the stages."""
    if layer.name in _OUTSIDE:
        prefix = _OUTSIDE[layer.name]
    else:
        block, part = layer.name.rsplit("/", 1)
        index = 0
        if block != "first_block":
            stage, place = map(int, re.fullmatch(r"stage(\d+)/block(\d+)", block).groups())
            index = 1 + sum(s.max_depth for s in space.stages[:stage]) + place
        prefix = f"blocks.{index}.conv.{_PARTS.get(part, 'depth_conv.se.fc')}"
    if layer.op == "conv":
        return f"{prefix}.{'conv' if name.startswith('0') else 'bn'}.{name[2:]}"
    return f"{prefix}.{name}" if layer.op == "squeeze_excite" else f"{prefix}.linear.{name[2:]}"
