"""Finds the subnets with the best accuracy for their cost.

    python -m launch.search --workdir runs/c10 --objectives macs
    python -m launch.search --workdir runs/c10 --table table.json --max_latency_ms 8
    python -m launch.search --workdir runs/c10 --resolutions 24,28,32

With limits, the best subnet that keeps them all is named at the end.
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.runs.trained import TrainedRun

with needs("export"):
    from deps_jax.export.onnx_writer import PRECISIONS
    from deps_jax.search.search import Goal
    from deps_jax.search.search_run import SearchSettings, best_within, search_run
    from launch import limits

WORKDIR = flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
OBJECTIVES = flags.DEFINE_list("objectives", [], "costs to keep low: macs, params, latency_ms, "
                               "peak_activation_bytes, file_bytes_fp32, _fp16, _int8")
PRECISION = flags.DEFINE_enum("precision", "fp32", PRECISIONS, "of the file for --max_file_bytes")
MEASURED = flags.DEFINE_integer("measured", 100, "subnets that the accuracy predictor learns from")
DIRECT = flags.DEFINE_bool("direct", False, "no predictor: measure every subnet that is asked for")
IMAGES = flags.DEFINE_integer("images", 1000, "validation images in these measurements; 0 is all")
POPULATION = flags.DEFINE_integer("population", 100, "of NSGA-II", lower_bound=2)
GENERATIONS = flags.DEFINE_integer("generations", 100, "of NSGA-II", lower_bound=1)
FRONT = flags.DEFINE_integer("front", 12, "most points that are measured in the end", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of the search")
OUT = flags.DEFINE_string("out", "", "folder; empty is WORKDIR/search")
DATA_DIR = flags.DEFINE_string("data_dir", None, "where the data lies now, if it has moved")


def main(_):
    allowed, tables = limits.limits(PRECISION.value), limits.tables()
    if "latency_ms" in (*allowed, *OBJECTIVES.value) and not tables:
        raise ValueError("a latency needs --table; make one with launch.latency_table")
    default = ["latency_ms"] if tables else ["macs"]
    goal = Goal(tuple(OBJECTIVES.value or list(allowed) or default), allowed)
    settings = SearchSettings(
        MEASURED.value, IMAGES.value, POPULATION.value, GENERATIONS.value, FRONT.value, SEED.value,
        limits.resolutions(), DIRECT.value)
    trained = TrainedRun.open(Path(WORKDIR.value), DATA_DIR.value)
    folder = Path(OUT.value or Path(WORKDIR.value) / "search")
    points, text = search_run(trained, goal, folder, tables=tables, settings=settings)
    print(text)
    if allowed:
        print(f"best within the limits: {best_within(points)['subnet']}")


if __name__ == "__main__":
    run(main)
