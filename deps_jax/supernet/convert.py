"""State dicts of the reference implementations in and out; `files.tensors` reads their files."""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from deps_jax.common.command.few import few
from deps_jax.space.block import INVERTED_RESIDUAL
from deps_jax.space.ofa import stem_stages
from deps_jax.space.rows import Shortcut
from deps_jax.space.search_space import SearchSpace
from deps_jax.supernet.supernet import init
from deps_jax.supernet.tensors import Tree

_PARAM, _STAT = "params", "batch_stats"


def count_classes(state_dict: dict[str, np.ndarray]) -> int:
    """Number of classes of the network of a state dict; ValueError if it has no classifier."""
    for name, value in state_dict.items():
        if short_name(name) == "classifier.linear.bias":
            return np.size(value)
    raise ValueError("the checkpoint has no classifier (classifier.linear.bias); give the state "
                     "dict of a whole network")


def convert(space: SearchSpace, state_dict: dict[str, np.ndarray]) -> tuple[Tree, Tree]:
    """(params, batch_stats) of the supernet from a state dict of OFA's or DepS's implementations.

    Dynamic and static layer names are understood; counters (num_batches_tracked) are ignored.

    Raises:
      ValueError: If tensors are missing, unexpected or of another shape; the message names the
        first of them.
    """
    state = {short_name(name): np.asarray(value) for name, value in state_dict.items()
             if not name.endswith("num_batches_tracked")}
    shapes = jax.eval_shape(lambda key: init(key, space), jax.random.key(0))
    template = dict(zip((_PARAM, _STAT), shapes, strict=True))
    table = list(_names(space, template))
    wanted = {name for names, _ in table for name in names}
    if missing := sorted(wanted - set(state)):
        raise ValueError(f"the checkpoint lacks {len(missing)} tensors of space {space.name!r}, "
                         f"first {missing[:3]}; is it of another space or width?")
    if extra := sorted(set(state) - wanted):
        raise ValueError(f"the checkpoint has {len(extra)} tensors that space {space.name!r} does "
                         f"not know, first {extra[:3]}; is it of another space?")
    if odd := [f"{name} is {state[name].shape}" for names, (path, leaf) in table for name in names
               if not _has_axes(path, state[name], leaf.ndim - (path[2:3] == ("rest",)))]:
        raise ValueError(f"{len(odd)} tensors of the checkpoint have other axes than their layers "
                         f"in space {space.name!r}: {few(odd)}; choose the space that it was "
                         f"trained with")
    leaves, found, needed = [], {}, {}
    for names, (path, leaf) in table:
        stacked = path[2:3] == ("rest",)
        arrays = [_from_torch(path, state[name], leaf.ndim - stacked) for name in names]
        found |= {name: array.shape for name, array in zip(names, arrays, strict=True)}
        needed |= dict.fromkeys(names, leaf.shape[int(stacked):])
        leaves.append(arrays if stacked else arrays[0])
    check_shapes("the checkpoint", space, found, needed)
    leaves = [np.ascontiguousarray(np.stack(leaf) if isinstance(leaf, list) else leaf, np.float32)
              for leaf in leaves]
    tree = jax.tree.unflatten(jax.tree.structure(template), leaves)
    return jax.tree.map(jax.numpy.asarray, (tree[_PARAM], tree[_STAT]))


def fits(space: SearchSpace, state_dict: Mapping[str, np.ndarray]) -> bool:
    """Whether a state dict holds every tensor that a space needs, in its shape.

    Kernel transforms may be absent; `convert` asks for them and for nothing else to be there.
    """
    state = {short_name(name): np.asarray(value) for name, value in state_dict.items()}
    template = dict(zip((_PARAM, _STAT), jax.eval_shape(
        lambda key: init(key, space), jax.random.key(0)), strict=True))
    for names, (path, leaf) in _names(space, template):
        stacked = path[2:3] == ("rest",)
        for name in names:
            if name not in state and name.endswith("_matrix"):
                continue
            rank = leaf.ndim - stacked
            if name not in state or not _has_axes(path, state[name], rank) or _from_torch(
                    path, state[name], rank).shape != leaf.shape[int(stacked):]:
                return False
    return True


def kernels_of(state_dict: Mapping[str, np.ndarray]) -> tuple[tuple[int, ...], bool]:
    """(kernel sizes that a state dict can say it was trained with, whether it has transforms).

    Transforms name their sizes. Without them it is the largest size alone, since smaller kernels
    may be the centres of larger ones, or not.
    """
    named = {int(size) for name in state_dict
             for pair in re.findall(r"(\d+)to(\d+)_matrix", name) for size in pair}
    sides = {np.shape(value)[-1] for name, value in state_dict.items()
             if "depth_conv" in name and np.ndim(value) == 4 and np.shape(value)[1] == 1}
    return (tuple(sorted(named)), True) if named else (tuple(sorted(sides)[-1:]), False)


def check_shapes(source: str, space: SearchSpace, found: Mapping[str, Sequence[int]],
                 needed: Mapping[str, Sequence[int]]) -> None:
    """Raises ValueError unless all tensors have the shapes that a space needs, in our layout.

    Args:
      source: Where the tensors are from, for the message.
      found, needed: Shapes by the name of the tensor. A tensor that was not found at all is left
        to the caller.
    """
    wrong = [name for name, shape in needed.items()
             if name in found and tuple(found[name]) != tuple(shape)]
    if wrong:
        told = [f"{name} is {tuple(found[name])} instead of {tuple(needed[name])}"
                for name in wrong]
        raise ValueError(f"{len(wrong)} of the {len(needed)} tensors of {source} have other shapes "
                         f"than space {space.name!r} needs with width_mult {space.width_mult:g}: "
                         f"{few(told)}; choose the space, width and lists that it was trained "
                         f"with")


def to_state_dict(space: SearchSpace, params: Tree,
                  batch_stats: Tree | None = None) -> dict[str, np.ndarray]:
    """The inverse of `convert`, with static layer names; gradients may stand for `params`."""
    template = {_PARAM: params, _STAT: batch_stats or {}}
    state = {}
    for names, (path, leaf) in _names(space, template):
        arrays = np.asarray(leaf) if path[2:3] == ("rest",) else np.asarray(leaf)[None]
        for name, array in zip(names, arrays, strict=True):
            state[name] = _to_torch(path, array)
    return state


def short_name(name: str) -> str:
    """The name of a tensor without "module." and the wrappers that dynamic layers add."""
    name = name.removeprefix("module.").replace(".mobile_inverted_conv.", ".conv.")
    name = name.replace(".conv.conv.weight", ".conv.weight").replace(".bn.bn.", ".bn.")
    name = re.sub(r"depth_conv\.conv\.(\d+to\d+_matrix)", r"depth_conv.\1", name)
    return name.replace("classifier.linear.linear.", "classifier.linear.")


def _names(space: SearchSpace, template: Tree) -> Iterator[tuple[list[str], tuple]]:
    """Pairs of torch names (several for stacked blocks) and (path, leaf), in tree order."""
    prefixes = {f"stage{s}": names for s, names in enumerate(_block_prefixes(space))}
    for path, leaf in jax.tree_util.tree_flatten_with_path(template)[0]:
        path = tuple(entry.key for entry in path)
        layer = path[1]
        if layer in prefixes:
            own = prefixes[layer]
            blocks = own[:1] if path[2] == "first" else own[-leaf.shape[0]:]
            names = [prefix + _inside_block(path[3:]) for prefix in blocks]
        elif layer == "first_block":
            names = [f"blocks.0.conv.{_inside_block(path[2:])}"]
        else:
            names = [_outside_blocks(space, path[1:])]
        yield names, (path, leaf)


def _block_prefixes(space: SearchSpace) -> list[list[str]]:
    """For every stage, what the names of the tensors of each block begin with."""
    found, count, stems = [], int(space.first_block is not None), stem_stages(space)
    for s, stage in enumerate(space.stages):
        if s < stems:
            inner = "conv." if any(isinstance(row, Shortcut) for row in stage.block.rows) else ""
            found.append([f"input_stem.{s + 1}.{inner}"] * stage.max_depth)
            continue
        inner = "conv." if stage.block.name == INVERTED_RESIDUAL.name else ""
        found.append([f"blocks.{count + d}.{inner}" for d in range(stage.max_depth)])
        count += stage.max_depth
    return found


_TENSORS = {"kernel": "conv.weight", "scale": "bn.weight", "bias": "bn.bias",
            "mean": "bn.running_mean", "var": "bn.running_var"}
_ROWS = {"expand": "inverted_bottleneck.", "depthwise": "depth_conv.", "project": "point_linear.",
         "conv": ""}  # others keep their names


def _inside_block(path: tuple[str, ...]) -> str:
    if path[0] == "squeeze_excite":
        return f"depth_conv.se.fc.{path[1]}.{'weight' if path[2] == 'kernel' else 'bias'}"
    if path[1] == "transform":
        return f"depth_conv.{path[2]}_matrix"
    return _ROWS.get(path[0], f"{path[0]}.") + _TENSORS[path[-1]]


def _outside_blocks(space: SearchSpace, path: tuple[str, ...]) -> str:
    if path[0] == "classifier":
        return f"classifier.linear.{'weight' if path[1] == 'kernel' else 'bias'}"
    if path[0] == "stem":
        name = "input_stem.0" if stem_stages(space) else "first_conv"
    else:  # with one layer after the blocks, it has the second's name
        mixes = path[1] == "features" or not space.feature_width
        name = "feature_mix_layer" if mixes else "final_expand_layer"
    return f"{name}.{_TENSORS[path[-1]]}"


def _has_axes(path: tuple[str, ...], array: np.ndarray, rank: int) -> bool:
    """Whether a tensor of PyTorch has the axes that `_from_torch` takes it to have."""
    if path[-1] != "kernel":
        return True  # its shape is compared as it is
    if rank == 3:
        return array.ndim == 4 and array.shape[1] == 1
    return array.ndim == 4 if rank == 4 else array.ndim > 1 and array.shape[2:] in ((), (1, 1))


def _from_torch(path: tuple[str, ...], array: np.ndarray, rank: int) -> np.ndarray:
    """A tensor of PyTorch in our layout, where it has `rank` axes (see `Block.tensors`)."""
    if path[-1] != "kernel":
        return array
    if rank == 3:
        return array[:, 0].transpose(1, 2, 0)  # c 1 k k -> k k c
    if rank == 4:
        return array.transpose(2, 3, 1, 0)  # o i k k -> k k i o
    return array.reshape(array.shape[:2]).T  # o i (1 1) -> i o


def _to_torch(path: tuple[str, ...], array: np.ndarray) -> np.ndarray:
    if path[-1] != "kernel":
        return array
    if array.ndim == 3:
        return array.transpose(2, 0, 1)[:, None]
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    return array.T if path[1] == "classifier" else array.T[:, :, None, None]
