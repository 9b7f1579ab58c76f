"""How many ImageNet-like photographs a core decodes and crops, and how many cores feed a chip.

    python -m launch.bench_data --images_per_second 2000

Nothing is read: the photographs are made (synthetic). Run it on quiet cores; the load is told.
"""
from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.reference import data_bench

RATE = flags.DEFINE_float("images_per_second", 1000.0, "what the chip is to be fed with",
                          lower_bound=1.0)
RESOLUTION = flags.DEFINE_integer("resolution", 224, "side of the crops in pixels", lower_bound=8)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "images of a batch", lower_bound=1)
WORKERS = flags.DEFINE_integer("workers", 0, "processes of the whole path; 0 decodes in threads",
                               lower_bound=0)
SECONDS = flags.DEFINE_float("seconds", 5.0, "time of each measurement", lower_bound=0.1)


def main(_):
    found = data_bench.measure(RESOLUTION.value, BATCH_SIZE.value, SECONDS.value, WORKERS.value)
    print("\n".join(f"{name:26} {value:9.1f}" for name, value in found.items()))
    print(f"{RATE.value:g} images a second take {data_bench.cores_for(found, RATE.value)} such "
          f"cores to decode and crop")


if __name__ == "__main__":
    run(main)
