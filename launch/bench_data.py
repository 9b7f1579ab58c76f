"""How many ImageNet-like photographs a core makes ready, and how many cores feed a chip.

    python -m launch.bench_data --images_per_second 2000

They are decoded, cropped and changed by the policy of `configs/deps_imagenet.py`. Nothing is read:
the photographs are made (synthetic). Run it on quiet cores; whether they were is told. The number
at the end is for `launch.scaling_plan`.
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

POLICY = flags.DEFINE_string("policy", "auto_imagenet", "what changes every crop, as data.policy; "
                             "\"\" leaves it as it is")


def main(_):
    found = data_bench.measure(RESOLUTION.value, BATCH_SIZE.value, SECONDS.value, WORKERS.value,
                               POLICY.value)
    print(found)
    print(f"{RATE.value:g} images a second take {found.cores_for(RATE.value)} such cores; the plan "
          f"of many chips: python -m launch.scaling_plan --images_per_core "
          f"{found.images_per_core:.0f}")


if __name__ == "__main__":
    run(main)
