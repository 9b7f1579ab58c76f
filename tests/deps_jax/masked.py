"""The plainly masked form of a subnet: full-size arrays, zeros where the subnet has nothing.

Slow and short: the oracle that the elastic engine is tested against. It reads the fields of the
space and the parameters, and shares no line with the code it tests. Choices may be traced: every
block runs, and what is not chosen is multiplied by zero or not taken.
"""
import jax
import jax.numpy as jnp
from jax import lax


def masked_apply(space, params, images, subnet):
    """(logits, statistics) in training mode."""
    statistics = {}
    x, statistics["stem"] = _conv_norm(space, params["stem"], images, space.stem_stride)
    x = _activate(x, space.stem_activation)
    first, width = params["first_block"], round8(space.stem_width * space.width_mult)
    x, statistics["first_block"] = _block(
        space, first, x, 1, space.first_activation, space.first_residual, width, 3)
    for s, stage in enumerate(space.stages):
        own, collected = params[f"stage{s}"], []
        for d in range(max(stage.depths)):
            part = own["first"] if d == 0 else jax.tree.map(lambda p, d=d: p[d - 1], own["rest"])
            stride = stage.stride if d == 0 else 1
            inputs, outputs = x.shape[-1], round8(stage.width * space.width_mult)
            widths = jnp.array([round8(round(inputs * expand)) for expand in stage.expands])
            kernels = jnp.array(stage.kernels)
            y, new = _block(space, part, x, stride, stage.activation,
                            stride == 1 and inputs == outputs, widths[subnet.expand[s, d]],
                            kernels[subnet.kernel[s, d]])
            alive = d < subnet.depth[s]
            x = jnp.where(alive, y, x) if d else y
            collected.append(jax.tree.map(lambda a, alive=alive: a * alive, new))
        statistics[f"stage{s}"] = {"first": collected[0]}
        if collected[1:]:
            statistics[f"stage{s}"]["rest"] = jax.tree.map(
                lambda *leaves: jnp.stack(leaves), *collected[1:])
    head = params["head"]
    x, norm = _conv_norm(space, head["expand"], x)
    statistics["head"] = {"expand": norm}
    x = _activate(x, space.head_activation).mean((1, 2))
    if space.feature_width:
        x = _activate(x @ head["features"]["kernel"], space.head_activation)
    return x @ params["classifier"]["kernel"] + params["classifier"]["bias"][None], statistics


def round8(channels):
    """Nearest multiple of 8, at least 8; the next one if that lost more than a tenth."""
    nearest = max(8, 8 * int((channels + 4) // 8))
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _activate(x, name):
    if name == "h_swish":
        return x * jnp.minimum(jnp.maximum(x + 3, 0), 6) / 6
    x = jnp.where(x > 0, x, 0)
    return jnp.where(x < 6, x, 6) if name == "relu6" else x


def _block(space, params, x, stride, activation, residual, width, kernel):
    """One inverted residual, `width` of its middle channels alive, its kernel `kernel` wide."""
    channels = jnp.arange(params["project"]["kernel"].shape[0])
    mask, statistics, y = channels < width, {}, x
    if "expand" in params:
        y, statistics["expand"] = _conv_norm(space, params["expand"], y, mask=mask)
        y = _activate(y, activation) * mask[None, None, None]
    depthwise = {"kernel": _kernel(params["depthwise"], kernel)[:, :, None],
                 "norm": params["depthwise"]["norm"]}
    y, statistics["depthwise"] = _conv_norm(space, depthwise, y, stride, mask)
    y = _activate(y, activation) * mask[None, None, None]
    if "squeeze_excite" in params:
        gate = params["squeeze_excite"]
        hidden = y.mean((1, 2)) @ gate["reduce"]["kernel"] + gate["reduce"]["bias"][None]
        units = jnp.array([round8(c // 4) for c in range(len(channels) + 1)])[width]
        hidden = jnp.where(hidden > 0, hidden, 0) * (jnp.arange(hidden.shape[1]) < units)[None]
        gates = hidden @ gate["expand"]["kernel"] + gate["expand"]["bias"][None]
        y = y * (jnp.minimum(jnp.maximum(gates + 3, 0), 6) / 6)[:, None, None]
    y, statistics["project"] = _conv_norm(space, params["project"], y)
    return (y + x if residual else y), statistics


def _kernel(params, chosen):
    """The chosen kernel, in the middle of a full-size window of zeros."""
    current = window = full = params["kernel"]
    for size in range(len(full) - 2, 0, -2):
        margin = (len(current) - size) // 2
        centre = current[margin:margin + size, margin:margin + size]
        if "transform" in params:
            name = f"{len(current)}to{size}"
            if name not in params["transform"]:  # no kernel of the space has this size
                continue
            flat = params["transform"][name] @ centre.reshape(size * size, -1)
            centre = flat.reshape(size, size, -1)
        margin = (len(full) - size) // 2
        padded = jnp.pad(centre, ((margin, margin), (margin, margin), (0, 0)))
        window, current = jnp.where(chosen == size, padded, window), centre
    return window


def _conv_norm(space, params, x, stride=1, mask=True):
    """Convolution, then batch norm by the mean and variance of what came out."""
    kernel = params["kernel"] if params["kernel"].ndim == 4 else params["kernel"][None, None]
    pad = kernel.shape[0] // 2
    y = lax.conv_general_dilated(
        x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1] // kernel.shape[2])
    mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
    rows = lambda *vectors: (vector[None, None, None] for vector in vectors)
    mean_, var_, scale, bias = rows(mean, var, params["norm"]["scale"], params["norm"]["bias"])
    return (y - mean_) / jnp.sqrt(var_ + space.norm_epsilon) * scale + bias, {
        "norm": {"mean": mean * mask, "var": var * mask}}
