"""Speed of the elastic engine, as ratios in one run; beside PyTorch where it is installed.

    python -m launch.bench --data_dir ../shared/data/tfds_small
"""
import importlib.util
import json
from pathlib import Path

from absl import flags

from deps_jax import bench
from deps_jax.common.cli import run
from deps_jax.families import MOBILENET_V3_CIFAR

OUT = flags.DEFINE_string("out", "runs/bench", "folder for the JSON")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "images in a step", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 7, "how often each candidate is timed", lower_bound=1)
WIDTH = flags.DEFINE_float("width_mult", 1.0, "width multiplier of the space")
KERNELS = flags.DEFINE_list("kernels", ["3", "5", "7"], "kernel sizes of the space")
DATA_DIR = flags.DEFINE_string("data_dir", "", "prepared CIFAR-10, for images a second")
TORCH = flags.DEFINE_boolean("torch", importlib.util.find_spec("torch") is not None,
                             "time the same networks in PyTorch, too")
SKIP_COMPILE = flags.DEFINE_boolean("skip_compile", False, "leave the compilation time out")


def main(_):
    kernels = tuple(int(kernel) for kernel in KERNELS.value)
    space = MOBILENET_V3_CIFAR.with_choices(kernels=kernels, width_mult=WIDTH.value)
    seconds = bench.time_gradients(space, BATCH_SIZE.value, ROUNDS.value, TORCH.value)
    report = {"machine": bench.machine(), "batch_size": BATCH_SIZE.value, "kernels": kernels,
              "width_mult": WIDTH.value, "ratios": bench.ratios(seconds),
              "compilations over 20 subnets": bench.count_compilations(space),
              "images a second": bench.time_data(DATA_DIR.value, BATCH_SIZE.value),
              "seconds": seconds}
    if not SKIP_COMPILE.value:
        report["seconds to compile"] = bench.time_compilation(space, BATCH_SIZE.value)
    print("\n".join(bench.summary(seconds)))
    for section in ("ratios", "seconds to compile", "images a second"):
        print(f"\n{section}:")
        print("\n".join(f"  {name:40} {value:.3g}" for name, value in report.get(
            section, {}).items()))
    print(f"\ncompilations over 20 subnets: {report['compilations over 20 subnets']}")
    path = Path(OUT.value) / "bench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written: {path}")


if __name__ == "__main__":
    run(main)
