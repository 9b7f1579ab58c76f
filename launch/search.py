"""Finds the subnets with the best accuracy for their cost.

    python -m launch.search --workdir runs/c10 --objectives macs
    python -m launch.search --workdir runs/c10 --table table.json --max_latency_ms 8
    python -m launch.search --workdir runs/c10 --resolutions 24,28,32

With limits, the best subnet that keeps them all is named at the end.
"""
from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.common.command.extras import needs
from deps_jax.common.command.outputs import output_folder

with needs("export"):
    from deps_jax.export.onnx_writer import PRECISIONS
    from deps_jax.search.search import Goal
    from deps_jax.search.search_run import best_within, check_precision, search_run
    from launch import search_flags

flags.adopt_module_key_flags(search_flags)  # --help shows them
OBJECTIVES = flags.DEFINE_list("objectives", [], "costs to keep low: macs, params, latency_ms, "
                               "peak_activation_bytes, file_bytes_fp32, _fp16, _int8")
PRECISION = flags.DEFINE_enum("precision", None, PRECISIONS, "of the file for --max_file_bytes; "
                              "left out, that of --table, or else fp32")
DIRECT = flags.DEFINE_bool("direct", False, "no predictor: measure every subnet that is asked for")
POPULATION = flags.DEFINE_integer("population", 200, "of NSGA-II", lower_bound=2)
GENERATIONS = flags.DEFINE_integer("generations", 60, "of NSGA-II", lower_bound=1)
FRONT = flags.DEFINE_integer("front", 12, "most points that are measured in the end", lower_bound=1)
OUT = flags.DEFINE_string("out", "", "folder; empty is WORKDIR/search")


def main(_):
    tables = search_flags.tables()
    if PRECISION.value:
        check_precision(tables, PRECISION.value)
    of_tables = tables[0].question["precision"] if tables else "fp32"
    allowed = search_flags.limits(PRECISION.value or of_tables)
    if "latency_ms" in (*allowed, *OBJECTIVES.value) and not tables:
        raise ValueError("a latency needs --table; make one with launch.latency_table")
    default = ["latency_ms"] if tables else ["macs"]
    goal = Goal(tuple(OBJECTIVES.value or list(allowed) or default), allowed)
    settings = search_flags.settings(population=POPULATION.value, generations=GENERATIONS.value,
                                     front=FRONT.value, direct=DIRECT.value)
    out = output_folder("out", OUT.value) if OUT.value else None
    trained = search_flags.trained()
    folder = out or trained.folder / "search"
    points, text = search_run(trained, goal, folder, tables=tables, settings=settings)
    print(text)
    if allowed:
        print(f"best within the limits: {best_within(points)['subnet']}")


if __name__ == "__main__":
    run(main)
