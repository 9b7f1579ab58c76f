"""The plainly masked form of a subnet: full-size arrays, zeros where the subnet has nothing.

Slow and short: the oracle that the elastic engine is tested against.
"""
import jax
import jax.numpy as jnp
from jax import lax

from deps_jax.elastic import activate, hard_sigmoid
from deps_jax.space import squeeze_width


def masked_apply(space, params, images, subnet):
    """(logits, statistics) in training mode of a static subnet."""
    statistics = {}
    x, statistics["stem"] = _conv_norm(images, params["stem"], space.stem_stride, space)
    x = activate(x, space.stem_activation)
    x, statistics["first_block"] = _block(space, space.first_block, params["first_block"], x, 0, 0)
    for s, blocks in enumerate(space.blocks):
        stage, collected = params[f"stage{s}"], []
        for d, block in enumerate(blocks):
            part = stage["first"] if d == 0 else jax.tree.map(lambda p, d=d: p[d - 1],
                                                              stage["rest"])
            y, new = _block(space, block, part, x, int(subnet.expand[s, d]),
                            int(subnet.kernel[s, d]))
            alive = d < subnet.depth[s]
            x = y if alive else x
            collected.append(jax.tree.map(lambda a, alive=alive: a * alive, new))
        statistics[f"stage{s}"] = {
            "first": collected[0],
            "rest": jax.tree.map(lambda *leaves: jnp.stack(leaves), *collected[1:])}
    head = params["head"]
    x, statistics["head"] = _conv_norm(x, head["expand"], 1, space)
    statistics["head"] = {"expand": statistics["head"]}
    x = activate(x, space.head_activation).mean((1, 2))
    x = activate(x @ head["features"]["kernel"], space.head_activation)
    return x @ params["classifier"]["kernel"] + params["classifier"]["bias"], statistics


def _block(space, block, params, x, expand, kernel):
    width = block.middle_widths[expand]
    mask = jnp.arange(block.max_middle) < width
    statistics, y = {}, x
    if block.expansion:
        y, statistics["expand"] = _conv_norm(y, params["expand"], 1, space, mask)
        y = activate(y, block.activation) * mask
    y, statistics["depthwise"] = _conv_norm(
        y, {"kernel": _kernel(block, params["depthwise"], kernel)[:, :, None],
            "norm": params["depthwise"]["norm"]}, block.stride, space, mask)
    y = activate(y, block.activation) * mask
    if block.squeeze_excite:
        gate = params["squeeze_excite"]
        alive = jnp.arange(gate["reduce"]["bias"].size) < squeeze_width(width)
        hidden = y.mean((1, 2)) @ gate["reduce"]["kernel"] + gate["reduce"]["bias"]
        hidden = jax.nn.relu(hidden) * alive
        gates = hidden @ gate["expand"]["kernel"] + gate["expand"]["bias"]
        y = y * hard_sigmoid(gates)[:, None, None]
    y, statistics["project"] = _conv_norm(y, params["project"], 1, space)
    return (y + x if block.residual else y), statistics


def _kernel(block, params, kernel):
    """The chosen kernel, in the middle of a full-size window of zeros."""
    current = params["kernel"]
    for size in block.kernels[-2::-1]:
        if block.kernels.index(size) < kernel:
            break
        larger = current.shape[0]
        margin = (larger - size) // 2
        current = current[margin:margin + size, margin:margin + size]
        if "transform" in params:
            matrix = params["transform"][f"{larger}to{size}"]
            flat = current.reshape(size * size, -1)
            current = (matrix @ flat).reshape(size, size, -1)
    margin = (block.kernels[-1] - current.shape[0]) // 2
    return jnp.pad(current, ((margin, margin), (margin, margin), (0, 0)))


def _conv_norm(x, params, stride, space, mask=None):
    kernel = params["kernel"]
    kernel = kernel if kernel.ndim == 4 else kernel[None, None]
    pad = kernel.shape[0] // 2
    y = lax.conv_general_dilated(
        x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1] // kernel.shape[2], precision="highest")
    mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
    norm = params["norm"]
    inverse = norm["scale"] * lax.rsqrt(var + space.norm_epsilon)
    out = (y - mean) * inverse + norm["bias"]
    mask = 1 if mask is None else mask
    return out, {"norm": {"mean": mean * mask, "var": var * mask}}
