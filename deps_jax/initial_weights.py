"""Where training starts when it does not start from random weights."""
from __future__ import annotations

import dataclasses
from pathlib import Path

import jax

from deps_jax import supernet
from deps_jax.common import workdir
from deps_jax.common.run import saved
from deps_jax.convert import convert, count_classes, load_state_dict
from deps_jax.space import SearchSpace

NOTHING = {"params": {}, "batch_stats": {}}


def initial_weights(source: str, space: SearchSpace) -> dict:
    """{"params", "batch_stats"} that replace those of random weights.

    Args:
      source: folder of a training run, PyTorch checkpoint or .npz; "" is nothing. Its classifier
        is left out, and that is said, when it has other classes than `space`.

    Raises:
      ValueError: when it holds no weights of this space.
    """
    if not source:
        return NOTHING
    weights, classes = (_of_run if Path(source).is_dir() else _of_file)(Path(source), space)
    if classes != space.num_classes:
        print(f"the classifier of {source} is left out: it has {classes} classes, the data has "
              f"{space.num_classes}")
        del weights["params"]["classifier"]
    return weights


def _of_file(path: Path, space: SearchSpace) -> tuple[dict, int]:
    state_dict = load_state_dict(path)
    classes = count_classes(state_dict)
    params, batch_stats = convert(dataclasses.replace(space, num_classes=classes), state_dict)
    return {"params": params, "batch_stats": batch_stats}, classes


def _of_run(folder: Path, space: SearchSpace) -> tuple[dict, int]:
    workdir.load(folder)  # says so when this is no run
    checkpoints = saved(folder)
    classes = checkpoints.shapes().get("params/classifier/bias", [space.num_classes])[0]
    shapes = jax.eval_shape(lambda: dict(zip(("params", "batch_stats"), supernet.init(
        jax.random.key(0), dataclasses.replace(space, num_classes=classes)), strict=True)))
    return checkpoints.restore_part(shapes), classes
