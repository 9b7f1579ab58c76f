"""Speed of the elastic engine, as ratios in one run; beside PyTorch where it is installed.

    python -m launch.bench --data_dir ../shared/data/tfds_small
    python -m launch.bench --parts steps --rounds 3

Parts: a forward and backward pass at full width ("full") and at a quarter of it with 7x7 kernels
only ("quarter"), whole training steps at a quarter of the width ("steps"), conditionals in the
training steps, seconds to compile, images a second.
"""
import importlib.util
import json
from pathlib import Path

import jax
from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.reference.bench import PARTS, benchmark
from deps_jax.reference.bench_report import text
from deps_jax.space.families import MOBILENET_V3_CIFAR

OUT = flags.DEFINE_string("out", "runs/bench", "folder for the JSON")
PARTS_FLAG = flags.DEFINE_list("parts", list(PARTS), "what to run")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "images in a step", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 7, "how often each candidate is timed", lower_bound=1)
WIDTH = flags.DEFINE_float("width_mult", 1.0, "width multiplier of the space of the part full")
KERNELS = flags.DEFINE_list("kernels", ["3", "5", "7"], "kernel sizes of the space of full")
DATA_DIR = flags.DEFINE_string("data_dir", "", "prepared CIFAR-10, for images a second")
TORCH = flags.DEFINE_boolean("torch", None, "time the same in PyTorch, too; if not given, where "
                             "it is installed and JAX runs on the CPU")


def main(_):
    beside_torch = TORCH.value
    if beside_torch is None:
        beside_torch = bool(importlib.util.find_spec("torch")) and jax.default_backend() == "cpu"
    if beside_torch:
        with needs("bench"):
            import torch  # noqa: F401, before minutes of work
    kernels = tuple(int(kernel) for kernel in KERNELS.value)
    report = benchmark(
        PARTS_FLAG.value, MOBILENET_V3_CIFAR.with_choices(
            kernels=kernels, width_mult=WIDTH.value),
        MOBILENET_V3_CIFAR.with_choices(kernels=(7,), width_mult=0.25),
        batch_size=BATCH_SIZE.value, rounds=ROUNDS.value, beside_torch=beside_torch,
        data_dir=DATA_DIR.value)
    print(text(report))
    path = Path(OUT.value) / "bench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nwritten: {path}")


if __name__ == "__main__":
    run(main)
