"""Where training starts when it does not start from random weights."""
from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from deps_jax.common.files import workdir
from deps_jax.common.files.tensors import load_state_dict
from deps_jax.common.loop.checkpoint import Checkpoints
from deps_jax.common.loop.run import saved
from deps_jax.space.search_space import SearchSpace
from deps_jax.supernet import supernet
from deps_jax.supernet.convert import (
    check_shapes,
    convert,
    count_classes,
    short_name,
    to_state_dict,
)

NOTHING = {"params": {}, "batch_stats": {}}


def initial_weights(source: str, space: SearchSpace) -> dict:
    """{"params", "batch_stats"} to put in the place of random weights.

    A classifier of another number of classes than the space's is left out, and kernel transforms
    that the source lacks are identities; both are printed.

    Args:
      source: Folder of a training run, PyTorch checkpoint or .npz; "" gives `NOTHING`.

    Raises:
      ValueError: If the source holds no weights of this space.
    """
    if not source:
        return NOTHING
    weights, classes = _read(Path(source), space)
    if classes != space.num_classes:
        print(f"the classifier of {source} is left out: it has {classes} classes, the data has "
              f"{space.num_classes}")
        del weights["params"]["classifier"]
    return weights


def teacher_weights(source: str, space: SearchSpace) -> dict:
    """{"params", "batch_stats"} of a teacher, and of the subnets that start from it.

    Args:
      source: Folder or file as in `initial_weights`, of the same space, width and number of
        classes.

    Raises:
      ValueError: If it is of another space, width or number of classes.
    """
    weights, classes = _read(Path(source), space)
    if classes != space.num_classes:
        raise ValueError(f"the teacher {source} knows {classes} classes, the data has "
                         f"{space.num_classes}; give one that was trained on them, or none "
                         f"(method.teacher='') to train it first")
    return weights


def _read(source: Path, space: SearchSpace) -> tuple[dict, int]:
    return (_of_run if source.is_dir() else _of_file)(source, space)


def _of_file(path: Path, space: SearchSpace) -> tuple[dict, int]:
    state_dict = load_state_dict(path)
    classes = count_classes(state_dict)
    space = dataclasses.replace(space, num_classes=classes)
    empty = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), _shapes(space)["params"])
    known = {short_name(name) for name in state_dict}
    absent = {name: np.eye(len(value), dtype=value.dtype)
              for name, value in to_state_dict(space, empty).items()
              if name.endswith("_matrix") and name not in known}
    _say_absent(path, absent)
    params, batch_stats = convert(space, {**state_dict, **absent})
    return {"params": params, "batch_stats": batch_stats}, classes


def _of_run(folder: Path, space: SearchSpace) -> tuple[dict, int]:
    workdir.load(folder)  # says so when this is no run
    checkpoints = saved(folder)
    there = checkpoints.shapes()
    classes = there.get("params/classifier/bias", [space.num_classes])[0]
    shapes = flatten_dict(_shapes(dataclasses.replace(space, num_classes=classes)), sep="/")
    absent = {name: jnp.broadcast_to(jnp.eye(leaf.shape[-1], dtype=leaf.dtype), leaf.shape)
              for name, leaf in shapes.items() if "/transform/" in name and name not in there}
    _say_absent(folder, absent)
    check_shapes(str(folder), space, there, {name: leaf.shape for name, leaf in shapes.items()})
    present = unflatten_dict({name: leaf for name, leaf in shapes.items() if name not in absent},
                             sep="/")
    field = evaluated_field(checkpoints)
    found = checkpoints.restore_part({field: present["params"],
                                      "batch_stats": present["batch_stats"]})
    weights = {"params": found[field], "batch_stats": found["batch_stats"]}
    return unflatten_dict({**flatten_dict(weights, sep="/"), **absent}, sep="/"), classes


def evaluated_field(checkpoints: Checkpoints) -> str:
    """Name of the parameters in a saved state that results are of, "average" or "params".

    See `TrainState.evaluated`.
    """
    averaged = any(name.startswith("average/") for name in checkpoints.shapes())
    return "average" if averaged else "params"


def _shapes(space: SearchSpace) -> dict:
    return dict(zip(("params", "batch_stats"), jax.eval_shape(
        lambda: supernet.init(jax.random.key(0), space)), strict=True))


def _say_absent(source: Path, transforms: dict) -> None:
    """Prints how many kernel transforms are absent from a source.

    OFA's first phase starts a space with kernel transforms from a network without, or with fewer.
    """
    if transforms:
        print(f"{len(transforms)} kernel transforms that {source} lacks start as identities")
