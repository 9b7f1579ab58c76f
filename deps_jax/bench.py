"""Speed as ratios in one run: subnets against the largest, and against PyTorch side by side.

Candidates take turns within every round, so that what else the machine does hits all alike; the
fastest of the rounds is compared. Ratios hold for one machine; seconds are printed beside them.
"""
from __future__ import annotations

import dataclasses
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from deps_jax import supernet
from deps_jax.data.augment import Augment
from deps_jax.data.load import Data, load, train_batches
from deps_jax.distill import hard_loss
from deps_jax.layers import layers
from deps_jax.methods import DEPS, Timeline
from deps_jax.optim import Optimizer
from deps_jax.space import SearchSpace
from deps_jax.subnet import Subnet, canonical, largest, sample, smallest, stack, uniform
from deps_jax.train import Recipe, init_state, sandwich_gradients, train_step

PIXELS = Augment(mean=(0.5,) * 3, std=(0.25,) * 3, flip=True, crop_padding=4)


def chosen_subnets(space: SearchSpace) -> dict[str, Subnet]:
    """Largest, smallest, two sampled ones (together the sandwich), and one in the middle."""
    stage = space.stages[0]
    middle = lambda choices: choices[len(choices) // 2]
    sampled = [canonical(sample(jax.random.key(seed), space)) for seed in (0, 1)]
    return {
        "largest": largest(space), "smallest": smallest(space), "sampled_1": sampled[0],
        "sampled_2": sampled[1],
        "middle": uniform(space, depth=middle(stage.depths), expand=middle(stage.expands),
                          kernel=middle(stage.kernels)),
    }


def time_gradients(space: SearchSpace, batch_size: int, rounds: int, beside_torch: bool
                   ) -> dict[str, list[float]]:
    """Seconds of a forward and backward pass in training mode, for every candidate and round."""
    subnets, candidates = chosen_subnets(space), {}
    images = jax.random.normal(jax.random.key(0), (batch_size, space.resolution,
                                                   space.resolution, 3))
    labels = jax.random.randint(jax.random.key(1), (batch_size,), 0, space.num_classes)
    params, _ = jax.jit(lambda key: supernet.init(key, space))(jax.random.key(2))

    @jax.jit
    def gradient(params, subnet):
        loss_fn = lambda params: hard_loss(
            supernet.apply(space, params, None, images, subnet, train=True)[0], labels).mean()
        return jax.grad(loss_fn)(params)

    traced = {name: jax.tree.map(jnp.asarray, subnet) for name, subnet in subnets.items()}
    for name in ("largest", "middle", "smallest"):
        candidates[name] = lambda s=traced[name]: jax.block_until_ready(gradient(params, s))
    sandwich = jax.tree.map(jnp.asarray, stack([subnets[name] for name in (
        "largest", "smallest", "sampled_1", "sampled_2")]))
    four = jax.jit(partial(sandwich_gradients, _recipe(space), axis_name=None))
    candidates["sandwich"] = lambda: jax.block_until_ready(
        four(params, (images, labels, jax.random.key(0)), subnets=sandwich))
    if beside_torch:
        from deps_jax.torch_net import gradient_function
        pixels, classes = np.asarray(images).transpose(0, 3, 1, 2), np.asarray(labels)
        for layout in ("channels_last", "contiguous"):
            for name, subnet in subnets.items():
                candidates[f"torch {layout} {name}"] = gradient_function(
                    layers(space, subnet), pixels, classes, layout)
    return _rounds(candidates, rounds)


def time_compilation(space: SearchSpace, batch_size: int) -> dict[str, float]:
    """Seconds until the sandwich training step is ready, cold and from the persistent cache."""
    recipe = _recipe(space)
    state = jax.eval_shape(lambda: init_state(jax.random.key(0), recipe))
    size = (batch_size, space.resolution, space.resolution, 3)
    batch = {"image": jax.ShapeDtypeStruct(size, jnp.uint8),
             "label": jax.ShapeDtypeStruct((batch_size,), jnp.int32)}

    def seconds():
        jax.clear_caches()
        start = time.perf_counter()
        step = jax.jit(partial(train_step, recipe, True))
        step.lower(state, batch, jax.random.key(0)).compile()
        return time.perf_counter() - start

    folder = jax.config.jax_compilation_cache_dir
    with tempfile.TemporaryDirectory() as empty:
        try:
            _use_cache(empty)
            return {"cold": seconds(), "from cache": seconds()}
        finally:
            _use_cache(folder)


def count_compilations(space: SearchSpace, batch_size: int = 8, count: int = 20) -> int:
    """How often the training forward pass is traced and compiled for random subnets."""
    images, traces = jnp.ones((batch_size, space.resolution, space.resolution, 3)), []
    params, _ = jax.jit(lambda key: supernet.init(key, space))(jax.random.key(0))

    @jax.jit
    def forward(params, subnet):
        traces.append(subnet)
        return supernet.apply(space, params, None, images, subnet, train=True)[0]

    for key in jax.random.split(jax.random.key(0), count):
        jax.block_until_ready(forward(params, sample(key, space)))
    return len(traces)


def time_data(data_dir: str, batch_size: int, batches: int = 40) -> dict[str, float]:
    """Images a second of every data path, CIFAR-10 if its folder is given, digits otherwise."""
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


def ratios(seconds: dict[str, list[float]]) -> dict[str, float]:
    """The figures that are compared, from the fastest round of each candidate."""
    best = {name: min(values) for name, values in seconds.items()}
    found = {f"{name} / largest": best[name] / best["largest"]
             for name in ("smallest", "middle", "sandwich")}
    for layout in ("channels_last", "contiguous"):
        theirs = {name: best.get(f"torch {layout} {name}") for name in (
            "largest", "middle", "smallest", "sampled_1", "sampled_2")}
        if theirs["largest"] is None:
            continue
        theirs["sandwich"] = sum(theirs[name] for name in theirs if name != "middle")
        found |= {f"{name} / PyTorch {layout}": best[name] / theirs[name]
                  for name in ("largest", "middle", "smallest", "sandwich")}
    return found


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    return {"backend": jax.default_backend(), "devices": str(jax.devices()[0].device_kind),
            "cores": str(os.cpu_count()), "processor": platform.machine(),
            "python": platform.python_version(), "jax": jax.__version__}


def summary(seconds: dict[str, list[float]]) -> list[str]:
    """Lines of fastest and median seconds."""
    return [f"{name:32} {min(values):7.3f} s  (median {statistics.median(values):.3f})"
            for name, values in seconds.items()]


def _rounds(candidates: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    for name, run in tqdm(candidates.items(), desc="first runs", leave=False):
        del name
        run()
    seconds = {name: [] for name in candidates}
    for _ in tqdm(range(rounds), desc="rounds", leave=False):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _recipe(space: SearchSpace) -> Recipe:
    return Recipe(space=space, method=DEPS, timeline=Timeline(0, 10, 100, 10),
                  optimizer=Optimizer(), augment=PIXELS)


def _use_cache(folder: str | None) -> None:
    from jax.experimental.compilation_cache import compilation_cache
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", folder)
