"""The supernet: every subnet of a space in one set of parameters, one pure function to run it.

    params, batch_stats = init(key, space)
    logits, statistics = apply(space, params, batch_stats, images, subnet, train=True)

Parameters are nested dicts of float32 arrays at their largest size. A stage keeps its first block
under "first" and the equal blocks after it stacked under "rest" (leading axis: block 1, 2, ...).
Smaller subnets use the leading middle channels, the leading blocks and the centre of the kernels.
"""
from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
from jax import lax

from deps_jax.common.loop.parallel import first_index
from deps_jax.common.nn.dispatch import Elastic, run_once, run_repeated, switched
from deps_jax.common.nn.operations import Mode, activate, dense, pointwise, pointwise_norm
from deps_jax.space.search_space import Block, SearchSpace, squeeze_width
from deps_jax.space.subnet import Subnet
from deps_jax.supernet.elastic import inverted_residual

DTYPES = ("float32", "bfloat16", "float64")  # of a computation; float64 needs JAX_ENABLE_X64


def apply(
    space: SearchSpace,
    params,
    batch_stats,
    images: jax.Array,
    subnet: Subnet,
    *,
    train: bool,
    dropout_rate: float | jax.Array = 0.0,
    dropout_key: jax.Array | None = None,
    axis_name: str | None = None,
    dtype=jnp.float32,
):
    """Runs one subnet; traced subnets share one compilation, and each costs what it uses.

    Args:
      images: [b, h, w, 3] float, normalised.
      train: batch norm uses (and returns) the statistics of this batch, synchronised over
        `axis_name` if given; otherwise `batch_stats`.
      dropout_rate: on the features before the classifier, when `dropout_key` is given; may be
        traced (the reference drops in the full model only, so the rate depends on the subnet).
      dtype: of the computation; parameters, statistics and logits stay float32
        ("float64" where the parameters are, under jax_enable_x64).

    Returns:
      (logits [b, classes] float32, batch statistics shaped like `batch_stats`: zero where the
      subnet has no channel; an empty dict in evaluation).
    """
    mode = Mode(train, axis_name)
    stats = None if train else batch_stats
    statistics = {}
    x, statistics["stem"] = _stem(space, params["stem"], _of(stats, "stem"), images.astype(dtype),
                                  mode)
    x, statistics["first_block"] = inverted_residual(
        space.first_block, 0, mode, params["first_block"], x, 0, _of(stats, "first_block"))
    for s, blocks in enumerate(space.blocks):
        name = f"stage{s}"
        x, statistics[name] = _stage(blocks, mode, params[name], _of(stats, name), x,
                                     jax.tree.map(lambda leaf, s=s: leaf[s], subnet))
    x, statistics["head"] = _features(space, params["head"], _of(stats, "head"), x, mode)
    if dropout_key is not None:
        x = _dropout(dropout_key, x, dropout_rate, axis_name)
    # Never rounded to bfloat16: near 10 its steps are 1/16, and the best two classes would tie.
    logits = dense(x, params["classifier"], jnp.promote_types(x.dtype, jnp.float32))
    return logits, statistics if train else {}


def _stem(space: SearchSpace, params, stats, images, mode: Mode):
    """3x3 convolution as a matrix product on image patches, batch norm, activation."""
    kernel = params["kernel"]
    patches = _patches(images, space.stem_stride)
    flat = {"kernel": kernel.reshape(-1, kernel.shape[-1]), "norm": params["norm"]}
    x, statistics = pointwise_norm(patches, flat, stats, mode, space.norm_epsilon)
    return activate(x, space.stem_activation), statistics


def _patches(images, stride: int):
    """The 3x3 neighbourhood of every output pixel, [b, h', w', 27]; padding 1."""
    b, h, w, c = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    limit = lambda start, size: start + (-(-size // stride) - 1) * stride + 1
    return jnp.concatenate([
        lax.slice(padded, (0, i, j, 0), (b, limit(i, h), limit(j, w), c), (1, stride, stride, 1))
        for i in range(3) for j in range(3)
    ], axis=-1)


def _stage(blocks: tuple[Block, ...], mode: Mode, params, stats, x, choice: Subnet):
    """The first block, then as many of the equal ones as the subnet's depth asks for."""
    if choice.is_static:
        return _static_stage(blocks, mode, params, stats, x, choice)
    x, first = run_once(_elastic(blocks[0], mode), params["first"], x,
                        (choice.expand[0], choice.kernel[0]), _of(stats, "first"))
    statistics = {"first": first}
    if len(blocks) > 1:
        rest = slice(1, len(blocks))
        choices = choice.expand[rest], choice.kernel[rest]
        x, statistics["rest"] = run_repeated(_elastic(blocks[1], mode), params["rest"], x, choices,
                                             _of(stats, "rest"), choice.depth - 1)
    return x, statistics


def _static_stage(blocks: tuple[Block, ...], mode: Mode, params, stats, x, choice: Subnet):
    """The chosen blocks alone, neighbours of equal choices in one loop: no choice at run time.

    As in the elastic form a block remembers its input and is computed again in the backward pass,
    so that the full model alone needs no more memory than a sandwich.
    """
    depth, count = int(choice.depth), len(blocks) - 1
    own = params["first"], _of(stats, "first")
    x, first = jax.checkpoint(_static_block(blocks[0], mode, choice, 0))(x, own)
    if not count:
        return x, {"first": first}
    none = init_batch_stats(params["rest"]) if mode.train else {}
    rest = [jax.tree.map(lambda leaf: jnp.zeros_like(leaf[depth - 1:]), none)]
    for start, stop in _equal_neighbours(choice, depth):
        own = jax.tree.map(lambda leaf, a=start, b=stop: leaf[a - 1:b - 1],
                           (params["rest"], _of(stats, "rest")))
        block = _static_block(blocks[1], mode, choice, start)
        x, new = lax.scan(jax.checkpoint(block, prevent_cse=False), x, own)
        rest.insert(-1, new)
    return x, {"first": first, "rest": jax.tree.map(lambda *parts: jnp.concatenate(parts), *rest)}


def _static_block(block: Block, mode: Mode, choice: Subnet, d: int):
    """A function (x, (params, stats)) -> (y, statistics) with the choices of block d of a stage."""
    expand, kernel = int(choice.expand[d]), int(choice.kernel[d])

    def run(x, own):
        params, stats = own
        return inverted_residual(block, expand, mode, params, x, kernel, stats)

    return run


def _equal_neighbours(choice: Subnet, depth: int) -> list[tuple[int, int]]:
    """[start, stop) of the longest runs of equal choices among blocks 1 to depth - 1 of a stage."""
    choices = list(zip(choice.expand, choice.kernel, strict=True))
    borders = [d for d in range(1, depth) if d == 1 or choices[d] != choices[d - 1]]
    return list(pairwise([*borders, depth]))


def _elastic(block: Block, mode: Mode) -> Elastic:
    return switched([partial(inverted_residual, block, expand, mode)
                     for expand in range(len(block.expands))])


def _features(space: SearchSpace, params, stats, x, mode: Mode):
    """Last 1x1 convolutions and the global mean: [b, h, w, c] -> [b, features]."""
    x, norm = pointwise_norm(x, params["expand"], _of(stats, "expand"), mode, space.norm_epsilon)
    x = activate(x, space.head_activation).mean((1, 2))
    if space.feature_width:
        x = activate(pointwise(x, params["features"]["kernel"]), space.head_activation)
    return x, {"expand": norm}


def _dropout(key, x, rate, axis_name):
    """Drops features with a mask that depends on the example's place in the global batch."""
    b, features = x.shape
    places = first_index(b, axis_name) + jnp.arange(b)
    keep = jax.vmap(lambda i: jax.random.bernoulli(jax.random.fold_in(key, i), 1 - rate,
                                                   (features,)))(places)
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


def _of(tree, name):
    return None if tree is None else tree[name]


def init(key: jax.Array, space: SearchSpace):
    """Initial parameters and running statistics of the supernet.

    Weights, and biases of dense layers, are uniform in +-1/sqrt(fan_in) as in the DepS reference
    (deps_reference 1.7); batch norm starts at scale 1, bias 0, mean 0, variance 1; kernel
    transforms at the identity.

    Returns:
      (params, batch_stats), nested dicts of float32 arrays.
    """
    keys = iter(jax.random.split(key, 5 + len(space.stages)))
    stem, head = space.scaled(space.stem_width), space.scaled(space.head_width)
    params = {
        "stem": {"kernel": _uniform(next(keys), (3, 3, 3, stem), 27), "norm": _norm(stem)},
        "first_block": _init_block(next(keys), space.first_block),
    }
    for s, blocks in enumerate(space.blocks):
        first, *rest = jax.random.split(next(keys), len(blocks))
        params[f"stage{s}"] = {"first": _init_block(first, blocks[0])}
        if rest:
            stacked = jax.vmap(partial(_init_block, block=blocks[1]))(jnp.stack(rest))
            params[f"stage{s}"]["rest"] = stacked
    last = space.blocks[-1][-1].out_channels
    params["head"] = {"expand": _init_pointwise(next(keys), last, head)}
    if space.feature_width:
        features = space.scaled(space.feature_width)
        params["head"]["features"] = {"kernel": _uniform(next(keys), (head, features), head)}
        head = features
    params["classifier"] = _init_dense(next(keys), head, space.num_classes)
    return params, init_batch_stats(params)


def init_batch_stats(params):
    """Mean 0 and variance 1 for every batch norm in `params`."""
    stats = {}
    for name, part in params.items():
        if name == "norm":
            stats[name] = {"mean": jnp.zeros_like(part["scale"]),
                           "var": jnp.ones_like(part["scale"])}
        elif isinstance(part, dict) and (inner := init_batch_stats(part)):
            stats[name] = inner
    return stats


def _init_block(key, block: Block):
    keys = jax.random.split(key, 4)
    middle, size = block.max_middle, block.kernels[-1]
    params = {
        "depthwise": {"kernel": _uniform(keys[1], (size, size, middle), size**2),
                      "norm": _norm(middle)},
        "project": _init_pointwise(keys[2], middle, block.out_channels),
    }
    if block.expansion:
        params["expand"] = _init_pointwise(keys[0], block.in_channels, middle)
    if block.kernel_transform:
        params["depthwise"]["transform"] = {
            name: jnp.eye(smaller**2)
            for name, smaller in zip(block.transform_names, block.kernels[-2::-1], strict=True)}
    if block.squeeze_excite:
        hidden = squeeze_width(middle)
        reduce, expand = jax.random.split(keys[3])
        params["squeeze_excite"] = {"reduce": _init_dense(reduce, middle, hidden),
                                    "expand": _init_dense(expand, hidden, middle)}
    return params


def _init_pointwise(key, inputs: int, outputs: int):
    return {"kernel": _uniform(key, (inputs, outputs), inputs), "norm": _norm(outputs)}


def _init_dense(key, inputs: int, outputs: int):
    kernel, bias = jax.random.split(key)
    return {"kernel": _uniform(kernel, (inputs, outputs), inputs),
            "bias": _uniform(bias, (outputs,), inputs)}


def _norm(width: int):
    return {"scale": jnp.ones(width), "bias": jnp.zeros(width)}


def _uniform(key, shape, fan_in: int):
    bound = 1 / math.sqrt(fan_in)
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)
