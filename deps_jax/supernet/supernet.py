"""The supernet: every subnet of a space in one set of parameters, one pure function to run it.

    params, batch_stats = init(key, space)
    logits, statistics = apply(space, params, batch_stats, images, subnet, train=True)

Parameters are nested dicts of float32 arrays at their largest size. A stage keeps its first block
under "first" and the equal blocks after it stacked under "rest" (leading axis: block 1, 2, ...); a
stage that may be left out has all of them under "rest". Smaller subnets use the leading channels,
the leading blocks and the centre of the kernels.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from deps_jax.common.loop.parallel import first_index, keys_of
from deps_jax.common.nn.dispatch import Elastic, is_static, run_once, run_repeated, switched
from deps_jax.common.nn.operations import (
    Mode,
    activate,
    dense,
    dropout,
    pointwise,
    pointwise_norm,
)
from deps_jax.space.block import Block
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Integers, Subnet
from deps_jax.supernet.elastic import Given, run_block
from deps_jax.supernet.tensors import Tree, init_block, init_dense, uniform

DTYPES = ("float32", "bfloat16", "float64")  # of a computation; float64 needs JAX_ENABLE_X64


def apply(
    space: SearchSpace,
    params: Tree,
    batch_stats: Tree | None,
    images: jax.Array,
    subnet: Subnet,
    *,
    train: bool,
    dropout_rate: float | jax.Array = 0.0,
    dropout_key: jax.Array | None = None,
    drop_connect_rate: float | jax.Array = 0.0,
    drop_connect_key: jax.Array | None = None,
    axis_name: str | None = None,
    synchronised: bool = True,
    dtype: jnp.dtype = jnp.float32,
) -> tuple[jax.Array, Tree]:
    """Runs one subnet; traced subnets share one compilation, and each costs what it uses.

    Args:
      params, batch_stats: Parameters and running statistics as `init` returns them; the latter are
        not read in training and may be None.
      images: Normalised images, [b, h, w, 3] float.
      subnet: The subnet, static or traced.
      train: Whether batch norm uses (and returns) the statistics of this batch instead of
        `batch_stats`.
      dropout_rate: Probability that a feature before the classifier is dropped, when `dropout_key`
        is given; may be traced (the reference drops in the full model only, so the rate depends on
        the subnet).
      drop_connect_rate: Rate of drop-connect, when `drop_connect_key` is given; may be traced. A
        block that adds its input adds nothing else in some examples, and as much more in the
        others: the i-th of n blocks, counted from 0, with the probability rate i / n
        (arXiv 1603.09382, as EfficientNet has it).
      axis_name: Mapped axis of the devices that share the batch; None on a single one.
      synchronised: Whether the statistics of the batch are those of all these devices.
      dtype: Type of the computation; parameters, statistics and logits stay float32
        ("float64" where the parameters are, under jax_enable_x64).

    Returns:
      (logits [b, classes] float32, batch statistics shaped like `batch_stats`: zero where the
      subnet has no channel; an empty dict in evaluation).
    """
    mode = Mode(train, axis_name, synchronised)
    survival = [None] * len(space.blocks)
    if drop_connect_key is not None:
        survival = _survival(space, drop_connect_key, drop_connect_rate, images.shape[0], axis_name)
    statistics = {}
    for part in _trunk(space, params, None if train else batch_stats, images.astype(dtype), subnet,
                       mode, survival):
        x, statistics[part.name] = part.output, part.statistics
    with jax.named_scope("head"):
        x = _features(space, params, x)
    if dropout_key is not None:
        x = dropout(dropout_key, x, dropout_rate, axis_name)
    # Never rounded to bfloat16: near 10 its steps are 1/16, and the best two classes would tie.
    classifier = {**params["classifier"], "kernel": params["classifier"]["kernel"][:x.shape[-1]]}
    logits = dense(x, classifier, jnp.promote_types(x.dtype, jnp.float32))
    return logits, statistics if train else {}


def feature_maps(space: SearchSpace, params: Tree, batch_stats: Tree | None, images: jax.Array,
                 subnet: Subnet, *, train: bool, axis_name: str | None = None,
                 synchronised: bool = True, dtype: jnp.dtype = jnp.float32
                 ) -> tuple[dict[int, jax.Array], Tree]:
    """The last map of every stride of one subnet, for heads that look at more than classes.

    Arguments are those of `apply`; parameters behind the last map need not be there.

    Returns:
      ({stride: map [b, h / stride, w / stride, c]}, batch statistics up to the last map, as those
      of `apply`). Of a stage with several widths a traced subnet gives the widest, with zeros in
      the channels that it has not.
    """
    maps, statistics, stride = {}, {}, 1
    for part in _trunk(space, params, None if train else batch_stats, images.astype(dtype), subnet,
                       Mode(train, axis_name, synchronised), [None] * len(space.blocks)):
        stride *= part.stride
        maps[stride], statistics[part.name] = part.output, part.statistics
    return maps, statistics if train else {}


class _Part(NamedTuple):
    """A part that has run: its key in parameters and statistics, and its own stride."""

    name: str
    stride: int
    output: jax.Array
    statistics: Tree


def _trunk(space: SearchSpace, params: Tree, stats: Tree | None, images: jax.Array,
           subnet: Subnet, mode: Mode, survival: list[jax.Array | None]) -> Iterator[_Part]:
    """Runs all that comes before the pooling, part by part; `survival` is that of each stage."""
    with jax.named_scope("stem"):
        x, own = _stem(space, mode, subnet.width_at(space, 0), params["stem"],
                       _of(stats, "stem"), images)
    yield _Part("stem", space.stem_stride, x, own)
    if space.first_block:
        with jax.named_scope("stem"):
            x, own = run_block(space.first_block, 0, mode, True, params["first_block"], x, 0,
                               Given(_of(stats, "first_block")))
        yield _Part("first_block", 1, x, own)
    for s, (stage, blocks) in enumerate(zip(space.stages, space.blocks, strict=True)):
        name = f"stage{s}"
        with jax.named_scope(name):
            x, own = _stage(blocks, mode, params[name], Given(_of(stats, name), survival[s]), x,
                            _choices(space, subnet, s))
        yield _Part(name, stage.stride * stage.block.pooling, x, own)
    if space.head_width:
        with jax.named_scope("head"):
            expand = params["head"]["expand"]
            x, own = pointwise_norm(
                x, {**expand, "kernel": expand["kernel"][:x.shape[-1]]},
                _of(_of(stats, "head"), "expand"), mode, space.norm_epsilon)
            x = activate(x, space.head_activation)
        yield _Part("head", 1, x, {"expand": own})


class _StageChoices(NamedTuple):
    """What a subnet chooses in one stage of d blocks.

    Attributes:
      depth: Number of blocks that run, [].
      branch: Branch of every block, [d]: its position in `Block.branches` where all is static,
        otherwise in `Block.compiled`.
      kernel: Position of every block's kernel size in `Block.kernels`, [d].
    """

    depth: Integers
    branch: Integers
    kernel: Integers

    @property
    def is_static(self) -> bool:
        return all(is_static(leaf) for leaf in self)


def _choices(space: SearchSpace, subnet: Subnet, s: int) -> _StageChoices:
    blocks = space.blocks[s]
    incoming, outgoing = (subnet.width_at(space, i) for i in (s, s + 1))
    expand = subnet.expand[s, :len(blocks)]
    number = Block.branch if subnet.is_static else Block.compiled_branch
    branch = number(blocks[-1], outgoing, outgoing, expand)
    if not blocks[0].tied:
        first = number(blocks[0], incoming, outgoing, expand[0])
        arrays = np if subnet.is_static else jnp
        branch = arrays.concatenate([arrays.reshape(first, 1), branch[1:]])
    return _StageChoices(subnet.depth[s], branch, subnet.kernel[s, :len(blocks)])


def _stem(space: SearchSpace, mode: Mode, width: Integers | int, params: Tree, stats: Tree | None,
          images: jax.Array) -> tuple[jax.Array, Tree]:
    """3x3 convolution as a matrix product on image patches, batch norm, activation."""
    widths = space.widths[0]
    patches = _patches(images, space.stem_stride)
    run = [partial(_stem_at, space, mode, channels, not isinstance(width, jax.Array))
           for channels in widths]
    if is_static(width):
        return run[int(width)](params, patches, None, stats)
    return run_once(switched(run), params, patches, (width, 0), stats)


def _stem_at(space: SearchSpace, mode: Mode, channels: int, exact: bool, params: Tree,
             patches: jax.Array, _: None, stats: Tree | None) -> tuple[jax.Array, Tree]:
    """The stem at one of its widths, padded to the widest unless `exact`."""
    missing = space.widths[0][-1] - channels
    cut = lambda tree: jax.tree.map(lambda leaf: leaf[..., :channels], tree)
    kernel = params["kernel"].reshape(-1, params["kernel"].shape[-1])
    x, statistics = pointwise_norm(
        patches, cut({"kernel": kernel, "norm": params["norm"]}), stats and cut(stats), mode,
        space.norm_epsilon)
    x = activate(x, space.stem_activation)
    if missing and not exact:
        x = jnp.pad(x, [(0, 0)] * 3 + [(0, missing)])
    if not mode.train:
        return x, {}
    return x, jax.tree.map(lambda leaf: jnp.pad(leaf, (0, missing)), statistics)


def _patches(images: jax.Array, stride: int) -> jax.Array:
    """The 3x3 neighbourhood of every output pixel, [b, h', w', 27]; padding 1."""
    b, h, w, c = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    limit = lambda start, size: start + (-(-size // stride) - 1) * stride + 1
    return jnp.concatenate([
        lax.slice(padded, (0, i, j, 0), (b, limit(i, h), limit(j, w), c), (1, stride, stride, 1))
        for i in range(3) for j in range(3)
    ], axis=-1)


def _stage(blocks: tuple[Block, ...], mode: Mode, params: Tree, given: Given, x: jax.Array,
           choices: _StageChoices) -> tuple[jax.Array, Tree]:
    """The first block, then as many of the equal ones as the subnet's depth asks for."""
    if choices.is_static:
        return _static_stage(blocks, mode, params, given, x, choices)
    statistics, first = {}, int("first" in params)
    if first:
        x, statistics["first"] = run_once(
            _elastic(blocks[0], mode), params["first"], x,
            (choices.branch[0], choices.kernel[0]), _first(given))
    if "rest" in params:
        x, statistics["rest"] = run_repeated(
            _elastic(blocks[-1], mode), params["rest"], x,
            (choices.branch[first:], choices.kernel[first:]), _rest(given, first),
            choices.depth - first, _no_statistics(params["rest"], mode, x.dtype))
    return x, statistics


def _no_statistics(params: Tree, mode: Mode, dtype: jnp.dtype) -> Tree:
    """Zeros for the batch statistics of blocks with these parameters; {} in evaluation."""
    wide = jnp.promote_types(dtype, jnp.float32)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, wide),
                        init_batch_stats(params) if mode.train else {})


def _first(given: Given) -> Given:
    """What the first block of a stage is given, out of what the stage is given."""
    return Given(_of(given.stats, "first"),
                 None if given.survival is None else given.survival[0])


def _rest(given: Given, first: int) -> Given:
    """What the blocks from number `first` on are given, with a leading axis."""
    return Given(_of(given.stats, "rest"),
                 None if given.survival is None else given.survival[first:])


def _static_stage(blocks: tuple[Block, ...], mode: Mode, params: Tree, given: Given,
                  x: jax.Array, choices: _StageChoices) -> tuple[jax.Array, Tree]:
    """The chosen blocks alone, neighbours of equal choices in one loop: no choice at run time.

    As in the elastic form a block remembers its input and is computed again in the backward pass,
    so that the full model alone needs no more memory than a sandwich.
    """
    depth, statistics, first = int(choices.depth), {}, int("first" in params)
    if first:
        own = params["first"], _first(given)
        block = _static_block(blocks[0], mode, choices, 0)
        x, statistics["first"] = jax.checkpoint(block)(x, own)
    if "rest" not in params:
        return x, statistics
    none = _no_statistics(params["rest"], mode, x.dtype)
    rest = [jax.tree.map(lambda leaf: leaf[depth - first:], none)]
    for start, stop in _equal_neighbours(choices, first, depth):
        own = jax.tree.map(lambda leaf, a=start, b=stop: leaf[a - first:b - first],
                           (params["rest"], _rest(given, first)))
        block = _static_block(blocks[-1], mode, choices, start)
        x, new = lax.scan(jax.checkpoint(block, prevent_cse=False), x, own)
        rest.insert(-1, new)
    statistics["rest"] = jax.tree.map(lambda *parts: jnp.concatenate(parts), *rest)
    return x, statistics


def _static_block(block: Block, mode: Mode, choices: _StageChoices, d: int
                  ) -> Callable[[jax.Array, tuple[Tree, Given]], tuple[jax.Array, Tree]]:
    """A function (x, (params, given)) -> (y, statistics) with the choices of block d of a stage."""
    branch, kernel = int(choices.branch[d]), int(choices.kernel[d])

    def run(x: jax.Array, own: tuple[Tree, Given]) -> tuple[jax.Array, Tree]:
        params, given = own
        return run_block(block, branch, mode, True, params, x, kernel, given)

    return run


def _equal_neighbours(choices: _StageChoices, first: int, depth: int) -> list[tuple[int, int]]:
    """[start, stop) of the longest runs of equal choices among blocks `first` to depth - 1."""
    own = list(zip(choices.branch, choices.kernel, strict=True))
    borders = [d for d in range(first, depth) if d == first or own[d] != own[d - 1]]
    return list(pairwise([*borders, depth]))


def _elastic(block: Block, mode: Mode) -> Elastic:
    return switched([partial(run_block, block, branch, mode, False)
                     for branch in block.compiled])


def _features(space: SearchSpace, params: Tree, x: jax.Array) -> jax.Array:
    """The global mean of the last map and the 1x1 convolution behind it: [b, features]."""
    x = x.mean((1, 2))
    if space.feature_width:
        kernel = params["head"]["features"]["kernel"][:x.shape[-1]]
        x = activate(pointwise(x, kernel), space.head_activation)
    return x


def _survival(space: SearchSpace, key: jax.Array, rate: float | jax.Array, b: int,
              axis_name: str | None) -> list[jax.Array]:
    """Factors [blocks, b] of every stage: 0 where a block adds nothing, else 1 / (1 - its rate).

    They are drawn by the example's place in the global batch.
    """
    depths = [len(blocks) for blocks in space.blocks]
    rates = rate * np.arange(sum(depths)) / sum(depths)
    keys = keys_of(key, first_index(b, axis_name), b)
    keep = jax.vmap(lambda k: jax.random.bernoulli(k, 1 - rates))(keys)
    factors = (keep / (1 - rates)[None]).T
    return jnp.split(factors, np.cumsum(depths)[:-1])


def _of(tree: Tree | None, name: str) -> Tree | None:
    return None if tree is None else tree.get(name)


def init(key: jax.Array, space: SearchSpace) -> tuple[Tree, Tree]:
    """Initial parameters and running statistics of the supernet.

    Weights, and biases of dense layers, are uniform in +-1/sqrt(fan_in) as in the DepS reference,
    which keeps PyTorch's defaults; batch norm starts at scale 1, bias 0, mean 0, variance 1; kernel
    transforms at the identity.

    Returns:
      (params, batch_stats), nested dicts of float32 arrays.
    """
    keys = iter(jax.random.split(key, 5 + len(space.stages)))
    stem, last = space.widths[0][-1], space.widths[-1][-1]
    params = {"stem": {"kernel": uniform(next(keys), (3, 3, 3, stem), 27), "norm": _norm(stem)}}
    first_key = next(keys)
    if space.first_block:
        params["first_block"] = init_block(first_key, space.first_block)
    for s, (stage, blocks) in enumerate(zip(space.stages, space.blocks, strict=True)):
        params[f"stage{s}"] = _init_stage(next(keys), blocks, stage.skippable)
    head = {}
    if space.head_width:
        width = space.scaled(space.head_width)
        head["expand"] = {"kernel": uniform(next(keys), (last, width), last), "norm": _norm(width)}
        last = width
    if space.feature_width:
        features = space.scaled(space.feature_width)
        head["features"] = {"kernel": uniform(next(keys), (last, features), last)}
        last = features
    if head:
        params["head"] = head
    params["classifier"] = init_dense(next(keys), last, space.num_classes)
    return params, init_batch_stats(params)


def _init_stage(key: jax.Array, blocks: tuple[Block, ...], skippable: bool) -> Tree:
    keys, params = list(jax.random.split(key, len(blocks))), {}
    if not skippable:
        params["first"] = init_block(keys.pop(0), blocks[0])
    if keys:
        params["rest"] = jax.vmap(partial(init_block, block=blocks[-1]))(jnp.stack(keys))
    return params


def init_batch_stats(params: Tree) -> Tree:
    """Running statistics with mean 0 and variance 1 for every batch norm in `params`."""
    stats = {}
    for name, part in params.items():
        if name == "norm":
            stats[name] = {"mean": jnp.zeros_like(part["scale"]),
                           "var": jnp.ones_like(part["scale"])}
        elif isinstance(part, dict) and (inner := init_batch_stats(part)):
            stats[name] = inner
    return stats


def _norm(width: int) -> Tree:
    return {"scale": jnp.ones(width), "bias": jnp.zeros(width)}
