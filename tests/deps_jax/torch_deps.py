"""DepS in a few lines of PyTorch: an independent oracle in float64. Needs torch.

Each subnet is a plain network built from `layers()`, run on leading slices of shared tensors, so
PyTorch's autograd puts the gradients where they belong.
"""
import torch
from torch import nn
from torch.func import functional_call

from deps_jax.convert import short_name
from deps_jax.layers import layers
from deps_jax.subnet import from_lists
from deps_jax.torch_net import TorchNet

_PARTS = {"expand": "inverted_bottleneck", "depthwise": "depth_conv", "project": "point_linear"}
_OUTSIDE = {"stem": "first_conv", "head/expand": "final_expand_layer",
            "head/features": "feature_mix_layer", "classifier": "classifier"}


def trajectory(space, record, initial, images, labels):
    """Losses by step and subnet of a recorded run repeated in float64."""
    torch.set_num_threads(1)  # two busy cores: more would wait for each other
    shared = {short_name(name): torch.tensor(value, dtype=torch.float64, requires_grad=True)
              for name, value in initial.items()
              if "running" not in name and not name.endswith("tracked")}
    plain = [value for name, value in shared.items() if "bn" in name or "bias" in name]
    decayed = [value for name, value in shared.items() if not ("bn" in name or "bias" in name)]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": record["weight_decay"]}, {"params": plain}],
        lr=1.0, momentum=record["momentum"], nesterov=record["nesterov"])
    images = torch.tensor(images, dtype=torch.float64)
    labels, losses = torch.tensor(labels).long(), []
    for i, step in enumerate(record["steps"]):
        for group in optimizer.param_groups:
            group["lr"] = step["lr"]
        optimizer.zero_grad(set_to_none=False)
        batch, teacher, row = i % len(images), None, []
        for k, arch in enumerate(step["archs"]):
            subnet = from_lists(space, depths=arch["d"], kernels=arch["ks"], expands=arch["e"])
            logits = _forward(layers(space, subnet), shared, images[batch])
            if k == 0:
                loss = nn.functional.cross_entropy(logits, labels[batch],
                                                   label_smoothing=record["label_smoothing"])
                teacher = logits.detach().softmax(-1)
            else:
                loss = -(teacher * logits.log_softmax(-1)).sum(-1).mean()
            (loss * (1.0 if k == 0 else step["beta"])).backward()
            row.append(loss.item())
        losses.append(row)
        optimizer.step()
    return losses


def _forward(network, shared, images):
    net = TorchNet(network).double().train()
    tensors = {}
    for i, layer in enumerate(network):
        for name, parameter in net.ops[i].named_parameters():
            source = shared[_shared_name(layer, name)]
            source = source[tuple(slice(size) for size in parameter.shape)]
            tensors[f"ops.{i}.{name}"] = source.reshape(parameter.shape)
    return functional_call(net, tensors, images)


def _shared_name(layer, name: str) -> str:
    """Name in the state dict of the reference: blocks are numbered over the stages."""
    if layer.name in _OUTSIDE:
        prefix = _OUTSIDE[layer.name]
    else:
        block, part = layer.name.rsplit("/", 1)
        index = 0 if block == "first_block" else 1 + 4 * int(block[5]) + int(block[-1])
        prefix = f"blocks.{index}.conv.{_PARTS.get(part, 'depth_conv.se.fc')}"
    if layer.op == "conv":
        return f"{prefix}.{'conv' if name.startswith('0') else 'bn'}.{name[2:]}"
    return f"{prefix}.{name}" if layer.op == "squeeze_excite" else f"{prefix}.linear.{name[2:]}"
