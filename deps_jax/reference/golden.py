"""Parity with recorded numbers of the PyTorch reference supernets: same weights, same function.

A folder of records holds `meta.json`, `state_dict.npz` and `io.npz` (logits, losses, gradient norms
of several subnets), optionally `unsorted.npz` and `sorted_stage*.npz`, or a training trajectory.
"""
from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deps_jax.common.files.tensors import load_state_dict
from deps_jax.common.loop.metrics import Mean, compute
from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.loop.state import TrainState
from deps_jax.common.nn.precision import full_precision
from deps_jax.data.augment import Augment
from deps_jax.space.block import Block
from deps_jax.space.families import SPACES
from deps_jax.space.layers import layers
from deps_jax.space.ofa import from_ofa
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import Subnet, stack, traced
from deps_jax.space.subnet_text import encode
from deps_jax.supernet import supernet
from deps_jax.supernet.channel_sorting import sort_channels
from deps_jax.supernet.convert import convert, count_classes, short_name, to_state_dict
from deps_jax.supernet.tensors import Tree, take
from deps_jax.training.losses import Hard, Target, smoothed
from deps_jax.training.methods import DEPS
from deps_jax.training.train import Recipe, update

LOGITS, GRADIENTS, TRAJECTORY = 1e-4, 1e-3, 1e-3  # gradients relative, the others absolute
KINK_TRIES = 8  # gradients from changed parameters that may stand in for ours, see `_closest`
ROUNDING_MARGIN = 3  # what is recorded may leave ours by so many times what rounding alone does
ROUNDINGS = 3  # of parameters, that tell how far that is


class Check(NamedTuple):
    """One comparison: its largest deviation, and what is allowed."""

    folder: str
    subject: str  # a subnet, a step
    what: str
    deviation: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the deviation is allowed; never where it is not a number."""
        return bool(self.deviation <= self.limit)


class Skipped(NamedTuple):
    """A folder that says nothing about the spaces of this version."""

    folder: str
    reason: str


def check_folder(root: Path) -> Iterator[Check | Skipped]:
    """Checks every record in `root` or below; ValueError when there is none."""
    folders = sorted(path.parent for path in root.rglob("meta.json"))
    if not folders:
        raise ValueError(f"{root} holds no golden record (no meta.json in it or below); give a "
                         f"folder of records")
    spaces = []
    for folder in folders:
        meta = json.loads((folder / "meta.json").read_text())
        space = space_of(folder, meta)
        if space is None:
            yield Skipped(folder.name, "no such search space in this version")
            continue
        spaces.append(space)
        yield from check_network(folder, space, meta)
        yield from check_sorting(folder, space)
    for folder in sorted(path.parent for path in root.rglob("trajectory.json")):
        space = trajectory_space(folder, spaces)
        if space is None:
            yield Skipped(folder.name, "no record beside it names its search space")
            continue
        yield from check_trajectory(folder, space)


def space_of(folder: Path, meta: dict) -> SearchSpace | None:
    """The space named by a record such as "mobilenet_v3_w0.25_k357_transform"; None if unknown.

    "k357" are the kernels, "w0.25" the width multiplier, "w0.125-0.25" the least and the largest of
    three widths to choose from; resolution and kernel transform stand in the record, the number of
    classes is that of the classifier's tensor.
    """
    match = re.match(r"(?P<family>\w+)_w(?P<width>[\d.]+)(?:-(?P<widest>[\d.]+))?"
                     r"(?:_k(?P<kernels>\d+))?", meta["family"])
    if match is None or match["family"] not in SPACES:
        return None
    width, choices = float(match["width"]), {}
    if match["kernels"]:
        choices["kernels"] = tuple(int(k) for k in match["kernels"])
    if match["widest"]:
        widest = float(match["widest"])
        choices["widths"], width = (width, (width + widest) / 2, widest), 1.0
    if match["family"] == "proxyless":  # OFA's own, which the record is of
        choices["norm_epsilon"] = 1e-3
    return SPACES[match["family"]].with_choices(
        **choices, width_mult=width,
        num_classes=count_classes(load_state_dict(folder / "state_dict.npz")),
        resolution=meta["resolution"],
        kernel_transform=meta["kernel_transform"])


def check_network(folder: Path, space: SearchSpace, meta: dict) -> Iterator[Check]:
    """Checks every recorded subnet: sizes, logits in three modes, loss and gradient norms."""
    params, batch_stats = convert(space, load_state_dict(folder / "state_dict.npz"))
    with np.load(folder / "io.npz") as file:
        record = dict(file)
    images, labels = _channels_last(record["x"]), jnp.asarray(record["y"])
    calibration = _channels_last(record["calibration"])
    evaluate, train = (jax.jit(partial(apply, space, train=train)) for train in (False, True))
    gradients_of = jax.jit(partial(gradient, space))
    for i, arch in enumerate(meta["archs"]):
        static = from_ofa(space, arch)
        check = partial(Check, folder.name, encode(space, static))
        network = layers(space, static)
        yield check("MACs", abs(sum(la.macs for la in network) - arch["macs"]), 0)
        yield check("parameters", abs(sum(la.params for la in network) - arch["params"]), 0)
        subnet = traced(static)
        (loss, train_logits), gradients = gradients_of(params, images, labels, subnet)

        def logits_of(params: Tree, mode: str, subnet: Subnet = subnet) -> jax.Array:
            if mode == "eval":
                return evaluate(params, batch_stats, images, subnet)[0]
            if mode == "train":
                return train(params, None, images, subnet)[0]
            statistics = [train(params, None, batch, subnet)[1] for batch in calibration]
            mean = jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *statistics)
            return evaluate(params, mean, images, subnet)[0]

        for mode in ("eval", "train", "recalibrated"):
            ours = train_logits if mode == "train" else logits_of(params, mode)
            deviation, limit = _largest(ours - record[f"logits_{mode}_{i}"]), LOGITS
            if deviation > limit:  # deep networks of few pixels are ill-conditioned
                limit = max(limit, ROUNDING_MARGIN * _worst(
                    _largest(logits_of(_rounded(params, seed), mode) - ours)
                    for seed in range(ROUNDINGS)))
            yield check(f"logits {mode}", deviation, limit)
        yield check("loss", abs(float(loss) - arch["train_loss"]), LOGITS)
        other = lambda seed, subnet=subnet: to_state_dict(space, gradients_of(
            _rounded(params, seed), images, labels, subnet)[1])
        yield check("gradient norms", *_gradient_deviation(
            to_state_dict(space, gradients), map(other, range(KINK_TRIES)), arch["grad_norms"]))


@full_precision
def apply(space: SearchSpace, params: Tree, batch_stats: Tree | None, images: jax.Array,
          subnet: Subnet, *, train: bool) -> tuple[jax.Array, Tree]:
    """`supernet.apply` in full precision, as records are compared with it."""
    return supernet.apply(space, params, batch_stats, images, subnet, train=train)


@full_precision
def gradient(space: SearchSpace, params: Tree, images: jax.Array, labels: jax.Array,
             subnet: Subnet) -> tuple[tuple[jax.Array, jax.Array], Tree]:
    """The recorded loss with its logits, and its gradient: ((loss, logits), gradient)."""
    def loss_fn(params: Tree) -> tuple[jax.Array, jax.Array]:
        logits, _ = supernet.apply(space, params, None, images, subnet, train=True)
        targets = Target(smoothed(labels, space.num_classes, 0.1))
        return Hard()(logits, targets).mean(), logits

    return jax.value_and_grad(loss_fn, has_aux=True)(params)


def check_sorting(folder: Path, space: SearchSpace) -> Iterator[Check]:
    """Checks channel sorting against every recorded stage (number of protected expand ratios).

    Channels that a smaller subnet may use must be the same ones, in the same order. The order of
    the others, which are only used all together, is left to rounding in the reference: it adds 1e5
    to a float32, so importances there may differ by 1/64.
    """
    for file in sorted(folder.glob("sorted_stage*.npz")):
        protected = int(re.search(r"\d+", file.stem).group())
        params, batch_stats = convert(space, load_state_dict(folder / "unsorted.npz"))
        ours = sort_channels(space, params, batch_stats, protected=protected)[:2]
        theirs = convert(space, load_state_dict(file))
        free, band = [], []
        for s, blocks in enumerate(space.blocks):
            for part in params[f"stage{s}"]:
                block = blocks[0] if part == "first" else blocks[-1]
                pairs = [[tree[f"stage{s}"][part] for tree in pair] for pair in (ours, theirs)]
                leading = partial(_leading_channels, block, protected)
                free += [_tree_distance(*map(leading, trees)) for trees in zip(*pairs, strict=True)]
                importance = [jnp.abs(pair[0]["project"]["kernel"]).sum(-1) for pair in pairs]
                band.append(_largest(importance[0] - importance[1]))
        check = partial(Check, folder.name, f"{protected} ratios protected")
        yield check("channels of smaller subnets", _worst(free), 0)
        yield check("importance by position", _worst(band), 1 / 64)


def trajectory_space(folder: Path, spaces: Iterable[SearchSpace]) -> SearchSpace | None:
    """The first space that takes the images and the initial state of a recorded training run."""
    with np.load(folder / "data.npz") as data:
        resolution = data["x"].shape[-1]
    state = load_state_dict(folder / "initial.npz")
    for space in spaces:
        if space.resolution == resolution:
            with contextlib.suppress(ValueError):
                convert(space, state)
                return space
    return None


def check_trajectory(folder: Path, space: SearchSpace) -> Iterator[Check]:
    """Checks training with DepS on given subnets: rates and losses of steps, final parameters.

    Such a run is chaotic: an error of one float32 rounding grows a hundredfold with each of the
    first steps (and PyTorch in float64 leaves the recorded losses as we do). So the run is repeated
    from initial parameters changed by one rounding, and what that alone has changed up to a step is
    allowed there: runs that have parted do not meet again, though one loss may by chance.
    """
    record = json.loads((folder / "trajectory.json").read_text())
    recipe = recorded_recipe(space, record, len(record["steps"]))
    with np.load(folder / "data.npz") as data:
        batches = list(zip(_channels_last(data["x"]), jnp.asarray(data["y"]), strict=True))
    step_fn = jax.jit(partial(recorded_step, recipe))
    params, batch_stats = convert(space, load_state_dict(folder / "initial.npz"))
    run = lambda params: _train(step_fn, recipe, space, record, params, batch_stats, batches)
    metrics, ours = run(params)
    repeated = [run(_rounded(params, seed)) for seed in range(ROUNDINGS)]
    beta, spread = recipe.rates()["smallest"], {}
    for i, step in enumerate(record["steps"]):
        check = partial(Check, folder.name, f"step {i}")
        rate = metrics[i]["learning_rate"]
        yield check("learning rate", abs(rate - step["lr"]) / step["lr"], 1e-5)
        yield check("beta", abs(float(beta(i)) - step["beta"]), 1e-5)
        recorded = {"loss": step["losses"][0], "subnet_loss": np.mean(step["losses"][1:] or 0)}
        for name in recorded.keys() & metrics[i].keys():
            spread[name] = _worst([spread.get(name, 0), *(
                abs(other[i][name] - metrics[i][name]) for other, _ in repeated)])
            yield check(name, abs(metrics[i][name] - recorded[name]),
                        _worst([TRAJECTORY, ROUNDING_MARGIN * spread[name]]))
    final = load_state_dict(folder / "final.npz")
    parted = _worst(_tree_deviation(ours, other) for _, other in repeated)
    yield Check(folder.name, f"step {i}", "final parameters", _tree_deviation(ours, final),
                _worst([TRAJECTORY, ROUNDING_MARGIN * parted]))


@full_precision
def recorded_step(recipe: Recipe, state: TrainState,
                  inputs: tuple[jax.Array, jax.Array, jax.Array],
                  subnets: Subnet | None) -> tuple[TrainState, dict[str, Mean]]:
    """`train.update` as a recorded run is repeated; without subnets a step of the full model."""
    phase = recipe.phases[0 if subnets is None else -1]
    return update(recipe, phase, state, recipe.task.inputs(*inputs), subnets)


def _train(step_fn: Callable, recipe: Recipe, space: SearchSpace, record: dict, params: Tree,
           batch_stats: Tree, batches: Sequence[tuple[jax.Array, jax.Array]]
           ) -> tuple[list[dict[str, float]], dict[str, np.ndarray]]:
    """Metrics of every step and the final parameters by name."""
    state = TrainState(jnp.zeros((), jnp.int32), params, batch_stats,
                       recipe.transform().init(params))
    history = []
    for i, step in enumerate(record["steps"]):
        subnets = [from_ofa(space, arch) for arch in step["archs"]]
        stacked, phase = None, recipe.phase_of(i)
        if not phase.alone:
            assert len(subnets) == len(phase.slots)
            stacked = traced(stack(subnets))
        inputs = (*batches[i % len(batches)], jax.random.key(0))
        state, metrics = step_fn(state, inputs, stacked)
        history.append(compute(metrics))
    return history, to_state_dict(space, state.params)


def _gradient_deviation(ours: dict, others: Iterable[dict],
                        norms: dict[str, float]) -> tuple[float, float]:
    """Deviation of the norms, and what is allowed.

    Args:
      others: Gradients of parameters changed by one rounding, asked for only where ours leave the
        limit: see `_closest`. Where none of them stays in it, what they leave ours by is allowed.
      norms: Recorded norms of the gradients, by parameter.
    """
    seen = []
    deviation = _closest(chain([ours], (seen.append(tree) or tree for tree in others)), norms,
                         GRADIENTS)
    if deviation <= GRADIENTS:
        return deviation, GRADIENTS
    own = {name: float(np.linalg.norm(ours[short_name(name)])) for name in norms}
    return deviation, _worst([GRADIENTS, *(
        ROUNDING_MARGIN * _norm_deviation(tree, own) for tree in seen)])


def _closest(gradients: Iterable[dict], norms: dict[str, float], limit: float) -> float:
    """The first deviation of the norms within the limit, else the smallest.

    An input of a ReLU that is almost 0 may fall on either side of it by rounding, and takes its
    part of all gradients before it along: in the records up to 0.3 % of a norm, where float64
    agrees to 2e-5. So the gradients of parameters changed by one rounding are as good as ours.
    """
    deviations = []
    for tree in gradients:
        deviations.append(_norm_deviation(tree, norms))
        if deviations[-1] <= limit:
            break
    return float(np.min(deviations))


def _rounded(params: Tree, seed: int) -> Tree:
    """Parameters changed at random by one unit in the last place or not at all."""
    generator = np.random.default_rng(seed)
    change = lambda leaf: leaf * (1 + np.float32(2**-23) * generator.integers(-1, 2, leaf.shape))
    return jax.tree.map(lambda leaf: jnp.asarray(change(leaf), leaf.dtype), params)


def recorded_recipe(space: SearchSpace, record: dict, total: int) -> Recipe:
    """The settings of a recorded training run of `total` steps."""
    per_epoch, warmup = record["batches_per_epoch"], record["full_model_warmup_epochs"]
    method = dataclasses.replace(DEPS, full_model_fraction=warmup * per_epoch / total,
                                 ramp_epochs=record["subnet_warmup_epochs"])
    assert (record["aggregation"], record["temperature"]) == (method.aggregation,
                                                              method.temperature)
    optimizer = Optimizer(learning_rate=record["base_lr"], min_learning_rate=record["min_lr"],
                          momentum=record["momentum"], weight_decay=record["weight_decay"])
    return Recipe(space=space, method=method, optimizer=optimizer, total=total,
                  steps_per_epoch=per_epoch, augment=Augment(mean=(0, 0, 0), std=(1, 1, 1)),
                  label_smoothing=record["label_smoothing"], dropout_rate=record["dropout"])


def _channels_last(images: np.ndarray) -> jax.Array:
    return jnp.asarray(np.moveaxis(images, -3, -1))


def _largest(difference: jax.typing.ArrayLike) -> float:
    return float(np.abs(np.asarray(difference)).max())


def _worst(deviations: Iterable[float]) -> float:
    """The largest, or not a number if one is none: Python's `max` would pass over it."""
    return float(np.max(list(deviations)))


def _leading_channels(block: Block, protected: int, tree: dict) -> dict:
    """Block parameters or statistics (stacked or not), of the channels that smaller ratios use."""
    middle = block.branches[-1 - protected]["middle"]
    cut = partial(take, block=block, index={"middle": slice(middle)})
    stacked = jax.tree.leaves(tree["project"]["norm"])[0].ndim == 2
    return (jax.vmap(cut) if stacked else cut)(tree)


def _tree_distance(first: Tree, second: Tree) -> float:
    return _worst(jax.tree.leaves(jax.tree.map(lambda a, b: _largest(a - b), first, second)))


def _tree_deviation(ours: dict, recorded: dict) -> float:
    recorded = {short_name(name): value for name, value in recorded.items()
                if not name.endswith("num_batches_tracked")}
    missing = set(recorded) ^ {name for name in ours if name in recorded or "running" not in name}
    assert not missing, sorted(missing)[:5]
    return _worst(_largest(ours[name] - value) for name, value in recorded.items())


def _norm_deviation(gradients: dict, norms: dict[str, float]) -> float:
    """Largest relative deviation, parameters with an exact gradient of 0 left out.

    A bias that a batch norm cancels has no gradient, and what is recorded is rounding error.
    """
    rounding = 1e-6 * np.sqrt(sum(norm**2 for norm in norms.values()))
    ours = {name: float(np.linalg.norm(gradients[short_name(name)])) for name in norms}
    return _worst(abs(ours[name] - norm) / norm if norm > rounding
                  else 0 * ours[name]  # not 0: it may be no number
                  for name, norm in norms.items())

