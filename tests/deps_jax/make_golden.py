"""Makes tests/golden/deps_float64.json and .npz anew. Needs torch.

    python tests/deps_jax/make_golden.py

A network and a training run of DepS, computed in float64 by `torch_deps`: by PyTorch and the flat
list of `layers()` alone, without the engine that is compared with them. Everything random is drawn
by NumPy from one seed and kept in the record.
"""
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"

# Strides, gates, both activations, kernels through matrices (three and two sizes), three widths.
SPACE = {
    "name": "golden", "stem_width": 8, "stem_stride": 2, "first_width": 8, "first_residual": True,
    "stages": [
        {"width": 8, "stride": 1, "activation": "relu", "squeeze_excite": False,
         "depths": [1, 2], "kernels": [3, 5, 7], "expands": [1, 2]},
        {"width": 8, "stride": 2, "activation": "h_swish", "squeeze_excite": True,
         "depths": [1, 2], "kernels": [3, 5], "expands": [1, 2, 5]}],
    "head_width": 16, "feature_width": 16, "num_classes": 5, "resolution": 16,
    "kernel_transform": True,
}
# Two steps of warm-up, two on the ramp, four at full rate. Small rates: a run whose rounding errors
# grow a hundredfold with every step proves little.
RUN = {
    "base_lr": 0.05, "min_lr": 0.005, "epochs": 4, "full_model_warmup_epochs": 2,
    "subnet_warmup_epochs": 1, "ramp_target_epochs": 1.0, "batches_per_epoch": 2,
    "weight_decay": 1e-3, "momentum": 0.9, "nesterov": True, "label_smoothing": 0.1,
    "temperature": 2.0, "weights": [1.0, 0.5, 0.8, 0.8], "sorted": True,
}
BATCHES, BATCH_SIZE = 3, 8
SEED = 12


def make() -> tuple[dict, dict[str, np.ndarray]]:
    """(what goes into the .json, what goes into the .npz)."""
    import torch_deps

    space = read_space(SPACE)
    generator = np.random.default_rng(SEED)
    initial = _draw(space, generator)
    images = generator.integers(0, 256, (BATCHES, BATCH_SIZE, 3, *[space.resolution] * 2), np.uint8)
    labels = generator.integers(0, space.num_classes, (BATCHES, BATCH_SIZE))
    run = {**RUN, "steps": [
        {"lr": lr, "beta": beta, "archs": _sandwich(space, generator)[:None if beta else 1]}
        for lr, beta in torch_deps.rates(RUN)]}
    record = {"space": SPACE, "run": run, "archs": _sandwich(space, generator)[:3],
              "tensors": {name: list(value.shape) for name, value in sorted(initial.items())}}
    arrays = {"initial": flat(initial, np.float32), "images": images, "labels": labels}
    arrays |= _network(space, record["archs"], initial, images, labels)
    losses, final = torch_deps.trajectory(space, run, initial, pixels(images[:2]), labels[:2])
    for step, row in zip(run["steps"], losses, strict=True):
        step["losses"] = row
    return record, {**arrays, "final": flat(final, np.float32)}


def read_space(fields: dict):
    """The SearchSpace of a record."""
    from deps_jax.space.search_space import SearchSpace, Stage

    return SearchSpace(**{**fields, "stages": tuple(Stage(**stage) for stage in fields["stages"])})


def pixels(images: np.ndarray) -> np.ndarray:
    """uint8 images as the networks see them, float64."""
    return (images.astype(np.float64) - 128) / 64


def flat(tensors: dict[str, np.ndarray], dtype=np.float64) -> np.ndarray:
    """All tensors as one vector, in the order of their names."""
    return np.concatenate([np.ravel(tensors[name]) for name in sorted(tensors)]).astype(dtype)


def unflat(vector: np.ndarray, shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """The tensors that `flat` joined."""
    ends = np.cumsum([int(np.prod(shapes[name])) for name in sorted(shapes)])
    return {name: part.reshape(shapes[name]) for name, part in zip(
        sorted(shapes), np.split(vector, ends[:-1]), strict=True)}


def _draw(space, generator) -> dict[str, np.ndarray]:
    """Random float32 tensors of the whole supernet, none of them trivial."""
    from torch_deps import shared_shapes

    tensors = {}
    for name, shape in shared_shapes(space).items():
        noise = generator.normal(size=shape)
        if len(shape) > 1:
            spread = 8 if "classifier" in name else 1  # predictions that differ
            tensors[name] = spread * noise / np.sqrt(np.prod(shape[1:]))
        else:
            tensors[name] = 0.2 * noise + (1.0 if name.endswith("bn.weight") else 0.0)
    for index, block in enumerate((b for blocks in space.blocks for b in blocks), start=1):
        for larger, smaller in block.transforms:
            matrix = np.eye(smaller**2) + 0.1 * generator.normal(size=(smaller**2, smaller**2))
            tensors[f"blocks.{index}.conv.depth_conv.{larger}to{smaller}_matrix"] = matrix
    return {name: value.astype(np.float32) for name, value in tensors.items()}


def _sandwich(space, generator) -> list[dict]:
    """The largest, the smallest and two random subnets, as the reference lists them."""
    stages = space.stages
    pick = {"max": lambda choices: choices[-1], "min": lambda choices: choices[0],
            "random": lambda choices: choices[generator.integers(len(choices))]}
    return [{"d": [pick[which](stage.depths) for stage in stages],
             "ks": [pick[which](stage.kernels) for stage in stages for _ in range(stage.max_depth)],
             "e": [pick[which](stage.expands) for stage in stages for _ in range(stage.max_depth)]}
            for which in ("max", "min", "random", "random")]


def _network(space, archs, initial, images, labels) -> dict[str, np.ndarray]:
    """Of every arch: logits, gradients and statistics of a batch, logits with the mean of two."""
    import torch
    import torch_deps

    x, y = torch.tensor(pixels(images)), torch.tensor(labels).long()
    widths = {name.replace("weight", "running_mean"): len(value)
              for name, value in initial.items() if name.endswith("bn.weight")}
    arrays = {}
    for i, arch in enumerate(archs):
        shared = torch_deps.shared_tensors(initial)
        logits, statistics = torch_deps.forward(space, arch, shared, x[0])
        torch.nn.functional.cross_entropy(logits, y[0], label_smoothing=0.1).backward()
        gradients = {name: np.zeros(tensor.shape) if tensor.grad is None else tensor.grad.numpy()
                     for name, tensor in shared.items()}
        with torch.no_grad():
            _, more = torch_deps.forward(space, arch, shared, x[1])
            means = {name: (value + more[name]) / 2 for name, value in statistics.items()}
            evaluated = torch_deps.evaluate(space, arch, shared, x[2], means)
        padded = {}
        for name, width in widths.items():
            for moment in (name, name.replace("mean", "var")):
                value = statistics.get(moment, torch.zeros(0)).numpy()
                padded[moment] = np.pad(value, (0, width - len(value)))
        arrays |= {f"logits_{i}": logits.detach().numpy(), f"evaluated_{i}": evaluated.numpy(),
                   f"gradients_{i}": flat(gradients), f"statistics_{i}": flat(padded)}
    return arrays


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "deps_jax")]
    made, vectors = make()
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / "deps_float64.json").write_text(json.dumps(made, indent=1) + "\n")
    np.savez_compressed(GOLDEN / "deps_float64.npz", **vectors)
