"""Speed of the elastic engine, as ratios in one run; beside PyTorch where it is installed.

    python -m launch.bench --data_dir ../shared/data/tfds_small
    python -m launch.bench --device     # on one GPU or TPU, in 8 minutes

Parts: see `reference.bench.benchmark`, with --device `reference.accelerator`.
"""
import json
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.files.sealed import replace
from deps_jax.reference import accelerator, bench, bench_report

OUT = flags.DEFINE_string("out", "runs/bench", "folder for the JSON")
PARTS = flags.DEFINE_list("parts", None, f"what to run: some of {', '.join(bench.PARTS)}; with "
                          f"--device, of {', '.join(accelerator.PARTS)}")
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
TORCH = flags.DEFINE_boolean("torch", None, "time PyTorch, too; if not given, where it fits")


def main(_):
    if DEVICE.value:
        accelerator.prepare()
    beside_torch = bench.torch_fits() if TORCH.value is None else TORCH.value
    kernels = tuple(map(int, KERNELS.value or ("7" if DEVICE.value else "357")))
    path = Path(OUT.value) / ("accelerator.json" if DEVICE.value else "bench.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    keep = lambda report: replace(path, json.dumps(report, indent=2) + "\n")
    with needs("bench"):
        if DEVICE.value:
            report = accelerator.accelerator_benchmark(
                PARTS.value or accelerator.PARTS, accelerator.networks(kernels, WIDTH.value),
                batch_size=BATCH_SIZE.value or 128, minutes=MINUTES.value,
                beside_torch=beside_torch, keep=keep)
            text = accelerator.text(report)
        else:
            report = bench.benchmark(
                PARTS.value or bench.PARTS, *bench.spaces(kernels, WIDTH.value),
                batch_size=BATCH_SIZE.value or 64, rounds=ROUNDS.value, beside_torch=beside_torch,
                data_dir=DATA_DIR.value)
            keep(report)
            text = bench_report.text(report)
    print(f"{text}\n\nwritten: {path}")


if __name__ == "__main__":
    run(main)
