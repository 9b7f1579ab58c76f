"""Recalibrates and evaluates subnets of a trained supernet; writes a table, a plot and a report.

    python -m launch.evaluate_subnets --workdir runs/c10
    python -m launch.evaluate_subnets --workdir runs/c10 --split validation --subnets d2e3,d3e4
"""
from pathlib import Path

from absl import flags

from deps_jax.common.command.cli import run
from deps_jax.runs.evaluate_run import evaluate_run

WORKDIR = flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
SUBNETS = flags.DEFINE_list("subnets", [], "names, such as d2e3,smallest; empty: the config's")
SPLIT = flags.DEFINE_enum("split", "test", ["validation", "test"], "which images to measure on")
DATA_DIR = flags.DEFINE_string("data_dir", None, "where the data lies now, if it has moved")


def main(_):
    print(evaluate_run(Path(WORKDIR.value), subnets=tuple(SUBNETS.value), split=SPLIT.value,
                       data_dir=DATA_DIR.value))


if __name__ == "__main__":
    run(main)
