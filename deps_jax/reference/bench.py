"""Speed as ratios in one run: subnets against the largest, and against PyTorch side by side.

Candidates take turns within every round, so that what else the machine does hits all alike; the
fastest and the median of the rounds are compared. Ratios hold for one machine; seconds are printed
beside them. Everything timed gets its images as arguments: XLA folds what depends on constants.
"""
from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from deps_jax.common.loop.optim import Optimizer
from deps_jax.common.loop.state import TrainState
from deps_jax.data.augment import Augment
from deps_jax.data.load import Data, load, train_batches
from deps_jax.reference.bench_report import LAYOUTS, SANDWICH, describe, machine, ratios
from deps_jax.reference.program import conditionals
from deps_jax.space.families import MOBILENET_V3_CIFAR
from deps_jax.space.layers import layers
from deps_jax.space.search_space import SearchSpace
from deps_jax.space.subnet import (
    Subnet,
    canonical,
    largest,
    sample,
    smallest,
    stack,
    traced,
    uniform,
)
from deps_jax.supernet import supernet
from deps_jax.supernet.tensors import Tree
from deps_jax.training.gradients import draw, gradients_of_slots
from deps_jax.training.losses import Hard, Target, smoothed
from deps_jax.training.methods import DEPS
from deps_jax.training.train import Recipe, init_state, train_step
from deps_jax.training.trainer import Trainer

PARTS = ("full", "quarter", "steps", "conditionals", "compile", "data")
PIXELS = Augment(mean=(0.5,) * 3, std=(0.25,) * 3, flip=True, crop_padding=4)
STEPS = ("full-model step", "sandwich step")
STEP = 50  # which step of the run is taken: subnets at full rate
METHOD = dataclasses.replace(DEPS, full_model_fraction=0.5, ramp_epochs=1.0)


def benchmark(parts: Sequence[str], space: SearchSpace, quarter: SearchSpace, *, batch_size: int,
              rounds: int, beside_torch: bool, data_dir: str = "") -> dict:
    """Runs the chosen parts.

    Args:
      parts: Names of PARTS. "full" and "quarter": a forward and backward pass of several subnets
        in `space` and in `quarter`. "steps": whole training steps in `quarter`. "conditionals":
        how many of them the steps in `space` hold. "compile": seconds until both steps in
        `space` are ready, and compilations over 20 subnets. "data": images a second.
      space: The space of "full", "conditionals" and "compile".
      quarter: The space of short runs.
      batch_size: Images of a batch.
      rounds: Number of rounds in which everything is timed once.
      beside_torch: Whether the same networks and steps are timed in PyTorch on the CPU, too.
      data_dir: Folder of a prepared CIFAR-10 for "data"; without it digits are read.

    Returns:
      A report of "machine", "batch_size", "rounds", and a section for each part. Those that are
      timed hold the "space", "seconds" of each candidate and round, and "ratios" of the fastest
      and of the median rounds.

    Raises:
      ValueError: If a part is unknown, or PyTorch would run beside another backend than the CPU.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        raise ValueError(f"part {unknown[0]!r} is unknown; choose from {', '.join(PARTS)}")
    if beside_torch and jax.default_backend() != "cpu":
        raise ValueError(f"PyTorch runs on the CPU here and JAX on {jax.default_backend()}; leave "
                         f"it out with --notorch, or set JAX_PLATFORMS=cpu")
    report = {"machine": machine(beside_torch), "batch_size": batch_size, "rounds": rounds}
    timed = {"full": (space, gradient_candidates), "quarter": (quarter, gradient_candidates),
             "steps": (quarter, step_candidates)}
    for part in parts:
        if part in timed:
            own, candidates = timed[part]
            seconds = time_rounds(candidates(own, batch_size, beside_torch), rounds)
            report[part] = {"space": describe(own), "ratios": ratios(seconds), "seconds": seconds}
    if "conditionals" in parts:
        report["conditionals"] = {"space": describe(space), **step_conditionals(space, batch_size)}
    if "compile" in parts:
        report["compile"] = {"space": describe(space),
                             "seconds": time_compilation(space, batch_size),
                             "compilations over 20 subnets": count_compilations(space)}
    if "data" in parts:
        report["data"] = {"images a second": time_data(data_dir, batch_size)}
    return report


def spaces(kernels: tuple[int, ...], width_mult: float) -> tuple[SearchSpace, SearchSpace]:
    """The space of full width, with these kernels, and that of short runs: a quarter, 7x7 alone."""
    return (MOBILENET_V3_CIFAR.with_choices(kernels=kernels, width_mult=width_mult),
            MOBILENET_V3_CIFAR.with_choices(kernels=(7,), width_mult=0.25))


def torch_fits() -> bool:
    """Whether PyTorch is installed and runs on the same kind of device as JAX does here."""
    if not importlib.util.find_spec("torch"):
        return False
    import torch
    return jax.default_backend() == "cpu" or torch.cuda.is_available()


def gradient_candidates(space: SearchSpace, batch_size: int, beside_torch: bool,
                        dtype: str = "float32") -> dict[str, Callable]:
    """Calls that run a forward and backward pass in training mode, by name; JAX's do not wait.

    Args:
      dtype: Type of our computation, one of `supernet.DTYPES`; PyTorch's is float32.
    """
    subnets = chosen_subnets(space)
    size = (batch_size, space.resolution, space.resolution, 3)
    images = jax.random.normal(jax.random.key(0), size)
    labels = jax.random.randint(jax.random.key(1), (batch_size,), 0, space.num_classes)
    params, _ = jax.jit(lambda key: supernet.init(key, space))(jax.random.key(2))

    @jax.jit
    def gradient(params: Tree, images: jax.Array, labels: jax.Array, subnet: Subnet) -> Tree:
        def loss_fn(params: Tree) -> jax.Array:
            logits, _ = supernet.apply(space, params, None, images, subnet, train=True,
                                       dtype=jnp.dtype(dtype))
            return Hard()(logits, Target(smoothed(labels, space.num_classes, 0.0))).mean()

        return jax.grad(loss_fn)(params)

    recipe = recipe_of(space, dtype)
    four = jax.jit(partial(gradients_of_slots, recipe.phases[1], recipe.task))
    inputs = recipe.task.inputs(images, labels, jax.random.key(0))
    found = {name: partial(gradient, params, images, labels, traced(subnets[name]))
             for name in ("largest", "middle", "smallest")}
    found["sandwich"] = partial(four, params, inputs, traced(
        stack([subnets[name] for name in SANDWICH])))
    if beside_torch:
        from deps_jax.reference.torch_net import gradient_function
        pixels, classes = np.asarray(images).transpose(0, 3, 1, 2), np.asarray(labels)
        found |= {f"torch {layout} {name}": gradient_function(
            layers(space, subnet), pixels, classes, layout)
            for layout in LAYOUTS for name, subnet in subnets.items()}
    return found


def chosen_subnets(space: SearchSpace) -> dict[str, Subnet]:
    """Static subnets by name: the sandwich's (largest, smallest, two sampled) and a middle one."""
    stage = space.stages[0]
    depth, expand, kernel = (choices[len(choices) // 2]
                             for choices in (stage.depths, stage.expands, stage.kernels))
    sampled = [canonical(sample(jax.random.key(seed), space)) for seed in (0, 1)]
    return {"largest": largest(space), "smallest": smallest(space), "sampled_1": sampled[0],
            "sampled_2": sampled[1],
            "middle": uniform(space, depth=depth, expand=expand, kernel=kernel)}


def step_candidates(space: SearchSpace, batch_size: int, beside_torch: bool,
                    dtype: str = "float32") -> dict[str, Callable]:
    """Calls, by name, that take a whole step of training, from augmentation to optimizer."""
    recipe, key = recipe_of(space, dtype), jax.random.key(0)
    trainer, batch = Trainer(recipe, key), random_batch(space, batch_size)
    found = {name: repeated(step_fn, recipe, batch, key) for name, step_fn in zip(
        STEPS, trainer.steps.values(), strict=True)}
    if beside_torch:
        from deps_jax.reference.torch_step import training_step
        subnets = [layers(space, subnet) for subnet in drawn_subnets(recipe, key, STEP)]
        for layout in LAYOUTS:
            for name, networks in zip(STEPS, (subnets[:1], subnets), strict=True):
                found[f"torch {layout} {name}"] = training_step(
                    networks, batch["image"], batch["label"], layout, augment=recipe.augment,
                    optimizer=recipe.optimizer, label_smoothing=recipe.label_smoothing)
    return found


def drawn_subnets(recipe: Recipe, key: jax.Array, step: int) -> list[Subnet]:
    """The subnets that `train_step` draws at a step, static."""
    subnet_key = jax.random.split(jax.random.fold_in(key, step), 3)[0]
    phase = recipe.phase_of(step)
    drawn = jax.device_get(draw(phase, recipe.space, recipe.task, None, None, subnet_key))
    return [jax.tree.map(lambda leaf, i=i: leaf[i], drawn) for i in range(len(phase.slots))]


def random_batch(space: SearchSpace, batch_size: int) -> dict[str, np.ndarray]:
    """A batch of random images and labels."""
    rng, size = np.random.default_rng(0), (batch_size, space.resolution, space.resolution, 3)
    return {"image": rng.integers(0, 256, size, np.uint8),
            "label": rng.integers(0, space.num_classes, batch_size, np.int32)}


def repeated(step_fn: Callable, recipe: Recipe, batch: dict, key: jax.Array) -> Callable:
    """A call that takes step number STEP again and again, so that its subnets are the same."""
    state = jax.jit(partial(init_state, recipe=recipe))(jax.random.key(1))

    def run() -> TrainState:
        nonlocal state  # a step reuses the memory of the state it is given
        state, _ = step_fn(state.replace(step=jnp.full((), STEP, jnp.int32)), batch, key)
        return state

    return run


def time_rounds(candidates: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Seconds of every candidate in every round, after two runs that are not counted.

    On several devices a step compiles twice: its first state comes back on all of them.
    """
    for run in tqdm(candidates.values(), desc="first runs", leave=False):
        for _ in range(2):
            jax.block_until_ready(run())
    seconds = {name: [] for name in candidates}
    for _ in tqdm(range(rounds), desc="rounds", leave=False):
        for name, run in candidates.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            seconds[name].append(time.perf_counter() - start)
    return seconds


def step_conditionals(space: SearchSpace, batch_size: int) -> dict[str, dict[str, int]]:
    """`program.conditionals` of both training steps, by name."""
    recipe = recipe_of(space)
    shapes = _step_shapes(recipe, batch_size)
    return {name: conditionals(jax.jit(partial(train_step, recipe, phase)).trace(*shapes))
            for name, phase in zip(STEPS, recipe.phases, strict=True)}


def traced_step(space: SearchSpace, name: str, dtype: str, device_count: int,
                batch_size: int = 8) -> jax.stages.Traced:
    """A training step as a run has it, neither compiled nor run.

    Args:
      name: One of STEPS.
      dtype: Type of the computation, one of `supernet.DTYPES`.
      device_count: Number of devices that share the batch.
    """
    recipe = recipe_of(space, dtype)
    trainer = Trainer(recipe, jax.random.key(0), devices=jax.local_devices()[:device_count])
    phase = recipe.phases[STEPS.index(name)]
    return trainer.steps[phase.name, space.resolution].trace(*_step_shapes(recipe, batch_size))


def time_compilation(space: SearchSpace, batch_size: int) -> dict[str, float]:
    """Seconds until both steps of a run are ready: "cold", and "kept" (read from the cache)."""
    recipe = recipe_of(space)
    state, batch, key = _step_shapes(recipe, batch_size)

    def seconds() -> float:
        jax.clear_caches()
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            Trainer(recipe, key, jax.local_devices()[:1]).compile(state, batch)
        return time.perf_counter() - start

    folder = jax.config.jax_compilation_cache_dir
    with tempfile.TemporaryDirectory() as empty:
        try:
            _use_cache(empty)
            return {"cold": seconds(), "kept": seconds()}
        finally:
            _use_cache(folder)


def count_compilations(space: SearchSpace, batch_size: int = 8, count: int = 20) -> int:
    """How often the training forward pass is traced and compiled for random subnets."""
    images, traces = jnp.ones((batch_size, space.resolution, space.resolution, 3)), []
    params, _ = jax.jit(lambda key: supernet.init(key, space))(jax.random.key(0))

    @jax.jit
    def forward(params: Tree, images: jax.Array, subnet: Subnet) -> jax.Array:
        traces.append(subnet)
        return supernet.apply(space, params, None, images, subnet, train=True)[0]

    for key in jax.random.split(jax.random.key(0), count):
        jax.block_until_ready(forward(params, images, sample(key, space)))
    return len(traces)


def time_data(data_dir: str, batch_size: int, batches: int = 40) -> dict[str, float]:
    """Images a second of every data path, by name; of digits where no CIFAR-10 is given."""
    data = Data("cifar10", dir=data_dir) if data_dir else Data("digits")
    splits = load(data, 32)
    paths = {"resident": {"placement": "resident"},
             "streamed, 0 workers": {"placement": "streamed"},
             "streamed, 2 workers": {"placement": "streamed", "workers": 2}}
    rates = {}
    for name, fields in paths.items():
        source = train_batches(dataclasses.replace(data, **fields), splits.train, batch_size, 0, 32)
        jax.block_until_ready(next(source))
        start = time.perf_counter()
        for _ in range(batches):
            jax.block_until_ready(next(source))
        rates[name] = batches * batch_size / (time.perf_counter() - start)
    return rates


def recipe_of(space: SearchSpace, dtype: str = "float32") -> Recipe:
    """The run whose steps are timed."""
    return Recipe(space=space, method=METHOD, total=100, steps_per_epoch=10, optimizer=Optimizer(),
                  augment=PIXELS, dtype=dtype)


def _step_shapes(recipe: Recipe, batch_size: int) -> tuple:
    """Shapes of the arguments of a training step, and its key."""
    state = jax.eval_shape(lambda: init_state(jax.random.key(0), recipe))
    size = (batch_size, recipe.space.resolution, recipe.space.resolution, 3)
    batch = {"image": jax.ShapeDtypeStruct(size, jnp.uint8),
             "label": jax.ShapeDtypeStruct((batch_size,), jnp.int32)}
    return state, batch, jax.random.key(0)


def _use_cache(folder: str | None) -> None:
    from jax.experimental.compilation_cache import compilation_cache
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", folder)
