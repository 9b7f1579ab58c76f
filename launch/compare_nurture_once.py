"""One training for all phones beside students trained alone at the same total cost, with seeds.

    python -m launch.compare_nurture_once --config configs/nurture_once.py:demo --data DATASET \\
        --workdir runs/once_or_alone

Run it again to continue. Several processes may share the folder, each with seeds of its own; a last
call with all of them collects the table.
"""
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from deps_jax.common.command.cli import run, seeds_of
from deps_jax.common.command.extras import needs

with needs("nurture"):
    from nurture_jax.runs.once_comparison import NAME, compare, table

CONFIG = config_flags.DEFINE_config_file("config", None, "config file, FILE.py or FILE.py:OPTION")
WORKDIR = flags.DEFINE_string("workdir", None, "folder of all runs and of the table")
DATA = flags.DEFINE_string("data", None, "folder of visits.csv and videos")
SUBNETS = flags.DEFINE_list("subnets", ["smallest", "d3e3k5", "d3e6k5", "largest"],
                            "networks that are compared")
SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "all trainings with each")
flags.mark_flags_as_required(["config", "workdir", "data"])


def main(_):
    config = CONFIG.value.to_dict()
    config["data"]["dir"] = DATA.value
    seeds = seeds_of(SEEDS.value)
    plan, outcomes = compare(config, Path(WORKDIR.value), SUBNETS.value, seeds)
    print(f"{table(plan, outcomes)}\n\nfiles: {WORKDIR.value}/{NAME}.csv, .json, .md")


if __name__ == "__main__":
    run(main)
