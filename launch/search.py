"""Finds the subnets with the best accuracy for their cost.

    python -m launch.search --workdir runs/c10 --objectives macs
    python -m launch.search --workdir runs/c10 --table table.json --max_latency_ms 8

With limits, the best subnet that keeps them all is named at the end.
"""
from pathlib import Path

from absl import flags

from deps_jax.common.cli import run
from deps_jax.latency import LatencyTable
from deps_jax.search import Goal
from deps_jax.search_run import SearchSettings, best_within, search_run
from deps_jax.trained import TrainedRun

WORKDIR = flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
OBJECTIVES = flags.DEFINE_list("objectives", [], "costs to keep low: macs, params, latency_ms, "
                               "peak_activation_bytes, file_bytes_fp32, _fp16, _int8")
TABLE = flags.DEFINE_string("table", "", "latency table of the device, from launch.latency_table")
LIMITS = {"latency_ms": flags.DEFINE_float("max_latency_ms", None, "needs --table"),
          "macs": flags.DEFINE_float("max_macs", None, "multiply-adds, such as 20e6"),
          "params": flags.DEFINE_float("max_params", None, "parameters, such as 1e6"),
          "file_bytes_fp32": flags.DEFINE_float("max_fp32_bytes", None, "of the fp32 file"),
          "file_bytes_int8": flags.DEFINE_float("max_int8_bytes", None, "of the int8 file")}
MEASURED = flags.DEFINE_integer("measured", 100, "subnets that the accuracy predictor learns from")
IMAGES = flags.DEFINE_integer("images", 1000, "validation images in these measurements")
GENERATIONS = flags.DEFINE_integer("generations", 100, "of NSGA-II", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of samples and search")
OUT = flags.DEFINE_string("out", "", "folder; empty is WORKDIR/search")
DATA_DIR = flags.DEFINE_string("data_dir", None, "where the data lies now, if it has moved")


def main(_):
    limits = {name: flag.value for name, flag in LIMITS.items() if flag.value is not None}
    if "latency_ms" in (*limits, *OBJECTIVES.value) and not TABLE.value:
        raise ValueError("a latency needs --table; make one with launch.latency_table")
    table = LatencyTable.load(Path(TABLE.value)) if TABLE.value else None
    default = ["latency_ms"] if table else ["macs"]
    goal = Goal(tuple(OBJECTIVES.value or list(limits) or default), limits)
    settings = SearchSettings(measured=MEASURED.value, images=IMAGES.value,
                              generations=GENERATIONS.value, seed=SEED.value)
    trained = TrainedRun.open(Path(WORKDIR.value), DATA_DIR.value)
    folder = Path(OUT.value or Path(WORKDIR.value) / "search")
    points, text = search_run(trained, goal, folder, table=table, settings=settings)
    print(text)
    if limits:
        print(f"best within the limits: {best_within(points)['subnet']}")


if __name__ == "__main__":
    run(main)
