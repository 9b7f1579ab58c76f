"""Speed of the elastic engine, as ratios in one run; beside PyTorch where it is installed.

    python -m launch.bench --data_dir ../shared/data/tfds_small
    python -m launch.bench --parts steps --rounds 3
    python -m launch.bench --device            # on one GPU or TPU: all of it in 8 minutes

Parts: a forward and backward pass at full width ("full") and at a quarter of it with 7x7 kernels
only ("quarter"), whole training steps at a quarter of the width ("steps"), conditionals in the
training steps, seconds to compile, images a second. On an accelerator: the networks of 32 and
224 px in float32 and bfloat16, forms of the depthwise convolution, XLA's command buffers, PyTorch.
"""
import importlib.util
import json
import os
from pathlib import Path

import jax
from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.reference import accelerator
from deps_jax.reference.bench import PARTS, benchmark
from deps_jax.reference.bench_report import text
from deps_jax.space.families import MOBILENET_V3, MOBILENET_V3_CIFAR

OUT = flags.DEFINE_string("out", "runs/bench", "folder for the JSON")
PARTS_FLAG = flags.DEFINE_list("parts", None, "what to run: some of " + ", ".join(PARTS)
                               + "; with --device, of " + ", ".join(accelerator.PARTS))
DEVICE = flags.DEFINE_boolean("device", False, "what matters on an accelerator instead")
MINUTES = flags.DEFINE_float("minutes", 8.0, "with --device: begin nothing that would probably "
                             "not be done by then", lower_bound=0.0)
BATCH_SIZE = flags.DEFINE_integer("batch_size", None, "images in a step; if not given 64, or 128 "
                                  "with --device", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 7, "how often each candidate is timed", lower_bound=1)
WIDTH = flags.DEFINE_float("width_mult", 1.0, "width multiplier of the space of the part full")
KERNELS = flags.DEFINE_list("kernels", None, "kernel sizes of the space of full; if not given 3, "
                            "5, 7, or 7 alone with --device")
DATA_DIR = flags.DEFINE_string("data_dir", "", "prepared CIFAR-10, for images a second")
TORCH = flags.DEFINE_boolean("torch", None, "time the same in PyTorch, too; if not given, where "
                             "it is installed and runs on the same kind of device")


def main(_):
    if DEVICE.value:
        return on_accelerator()
    beside_torch = TORCH.value
    if beside_torch is None:
        beside_torch = bool(importlib.util.find_spec("torch")) and jax.default_backend() == "cpu"
    if beside_torch:
        with needs("bench"):
            import torch  # noqa: F401, before minutes of work
    kernels = tuple(int(kernel) for kernel in KERNELS.value or (3, 5, 7))
    report = benchmark(
        PARTS_FLAG.value or PARTS, MOBILENET_V3_CIFAR.with_choices(
            kernels=kernels, width_mult=WIDTH.value),
        MOBILENET_V3_CIFAR.with_choices(kernels=(7,), width_mult=0.25),
        batch_size=BATCH_SIZE.value or 64, rounds=ROUNDS.value, beside_torch=beside_torch,
        data_dir=DATA_DIR.value)
    print(text(report))
    print(f"\nwritten: {written(report, 'bench.json')}")


def on_accelerator():
    """Everything of `reference.accelerator` within --minutes."""
    # PyTorch needs a part of the memory that JAX would take whole.
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")
    if jax.default_backend() == "cpu":
        raise ValueError("--device needs a GPU or TPU, and JAX finds none; leave it out, or "
                         "install JAX for yours (pip install 'jax[cuda13]' or 'jax[tpu]')")
    beside_torch = TORCH.value
    if beside_torch is None:
        beside_torch = accelerator.torch_sees_device()
    kernels = tuple(int(kernel) for kernel in KERNELS.value or (7,))
    spaces = [space.with_choices(kernels=kernels, width_mult=WIDTH.value)
              for space in (MOBILENET_V3_CIFAR, MOBILENET_V3)]
    networks = [(spaces[0], "float32"), (spaces[1], "bfloat16"), (spaces[0], "bfloat16"),
                (spaces[1], "float32")]
    report = accelerator.accelerator_benchmark(
        PARTS_FLAG.value or accelerator.PARTS, networks, batch_size=BATCH_SIZE.value or 128,
        minutes=MINUTES.value, beside_torch=beside_torch,
        keep=lambda report: written(report, "accelerator.json"))
    print(accelerator.text(report))
    print(f"\nwritten: {Path(OUT.value) / 'accelerator.json'}")


def written(report, name):
    """The path of the JSON file that holds the report now."""
    path = Path(OUT.value) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    return path


if __name__ == "__main__":
    run(main)
